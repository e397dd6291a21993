"""Which Python do Celery's suites run in? A virtualenv with all that they ask for, and our wheel.

What they ask for stands in the sources' own requirements. Celery, its own parts and OpenTelemetry
have the versions of the lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.matrix import LOCK, build_wheel, uv
from tests.suites.sdist import HOME

ASKED = ("default", "test", "test-ci-base", "test-ci-default", "test-integration")
UNUSED = ("mypy", "pre-commit", "pytest-cov", "pytest-github-actions-annotate-failures")
"""Of those: what judges the code and not what it does."""
OURS = r"^(?:amqp|billiard|celery|kombu|opentelemetry-[a-z-]+|redis|vine)==[^\s\\]+"


def requirements(path: Path) -> Iterator[str]:
    """Yield what a file asks for, and what the files ask for that it includes."""
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            yield from requirements(path.parent / line.removeprefix("-r ").strip())
        elif line and not line.startswith("#") and re.split(r"[\[<>=;]", line)[0] not in UNUSED:
            yield line


def furnished(sources: Path) -> Path:
    """Return the Python of a virtualenv; what is the same as last time is left as it is."""
    folder, wheel = HOME / "venv", build_wheel()
    python = str(folder / "bin" / "python")
    asked = {line for name in ASKED for line in requirements(sources / f"requirements/{name}.txt")}
    versions = re.findall(OURS, LOCK.read_text(), re.MULTILINE)
    recipe = repr((sys.version, sorted(asked), versions)).encode()
    with _unless_same(folder / "recipe", recipe) as changed:
        if changed:
            uv("venv", "--clear", "--python", sys.executable, str(folder))
            wanted, fixed = HOME / "requirements.txt", HOME / "constraints.txt"
            wanted.write_text("\n".join(sorted(asked)))
            fixed.write_text("\n".join(versions))
            bounds = ["--constraint", str(fixed), "--requirements", str(wanted)]
            ours = f"otel-celery[redis] @ {wheel.as_uri()}"
            uv("pip", "install", "--python", python, *bounds, ours)
    with _unless_same(folder / "wheel", wheel.read_bytes()) as changed:
        if changed:
            uv("pip", "install", "--python", python, "--no-deps", "--reinstall", str(wheel))
    return Path(python)


@contextlib.contextmanager
def _unless_same(stamp: Path, made_from: bytes) -> Iterator[bool]:
    """Yield whether something has to be made anew; the stamp says what it was made from last."""
    recipe = hashlib.sha256(made_from).hexdigest()
    changed = not stamp.exists() or stamp.read_text() != recipe
    yield changed
    if changed:
        stamp.write_text(recipe)
