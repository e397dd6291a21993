"""Does it hold on other Pythons and other Celerys?

Makes a virtualenv for each pair, with the built wheel and not the tree in it, and runs the unit
tests and the short worker run there. The oldest pair has the lowest versions that pyproject.toml
allows, the newest pair those of the lock, any pair between them the newest there are.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "dev.txt"
UV = Path(sys.executable).with_name("uv")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
CELERYS = ("5.4", "5.5", "5.6", "5.7")
EXTRAS = ("contrib", "demo", "grpc", "prometheus", "redis", "sentry", "system-metrics", "view")
TOOLS = ("boto3", "eventlet", "gevent", "httpx", "hypothesis", "pytest", "sqlalchemy")
BATCHES = "celery-batches==0.11"
OF_THE_TREE = ("--ignore=tests/unit/test_docs.py", "--ignore=tests/unit/test_coverage.py")
"""The docs are the same for all versions, and made of more than the wheel has."""
AT_ONCE = 2  # pairs
PATIENCE = 900  # seconds for one run of pytest, on a machine that is busy


class Pair(NamedTuple):
    """One Python with one Celery."""

    python: str
    celery: str
    versions: str  # of the other packages: lowest, newest, locked

    def __str__(self) -> str:
        return f"Python {self.python}, Celery {self.celery}, {self.versions} versions"

    @property
    def folder(self) -> Path:
        return ROOT / ".matrix" / f"{self.python}-{self.celery}-{self.versions}"

    @property
    def resolution(self) -> list[str]:
        """What uv is told about the versions."""
        return {
            "lowest": ["--resolution", "lowest-direct"],
            "newest": [],
            "locked": ["--constraint", str(LOCK)],
        }[self.versions]


def candidates(version: str) -> Iterator[Path]:
    """Yield what may be a Python of this version: on PATH, of pyenv, and the one that runs."""
    for folder in os.get_exec_path():
        yield Path(folder, f"python{version}")
    for root in (os.environ.get("PYENV_ROOT"), "~/.pyenv"):
        if root:
            yield from Path(root).expanduser().glob(f"versions/{version}.*/bin/python")
    yield Path(sys.executable)


def interpreters() -> dict[str, str]:
    """Return each Python that runs when tried, oldest first; a shim of pyenv may stand for none."""
    question = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    found = {}
    for version in PYTHONS:
        for path in filter(Path.exists, candidates(version)):
            answer = subprocess.run([path, "-c", question], capture_output=True, text=True)
            told, _, executable = answer.stdout.strip().partition(" ")
            if told == version:
                found[version] = executable
                break
    return found


def pairs(pythons: list[str], everything: bool) -> list[Pair]:
    """Return the oldest and the newest pair, or all of them."""
    oldest = Pair(pythons[0], CELERYS[0], "lowest")
    newest = Pair(pythons[-1], CELERYS[-1], "locked")
    between = [
        Pair(python, celery, "newest")
        for python in pythons
        for celery in CELERYS
        if (python, celery) not in (oldest[:2], newest[:2])
    ]
    return [oldest, *(between if everything else ()), newest]


def build_wheel() -> Path:
    """Build the wheel anew and return its path."""
    folder = ROOT / "build" / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    hatchling = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(hatchling, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def uv(*arguments: str) -> None:
    """Run uv; its complaints are shown, the rest is not."""
    subprocess.run([UV, *arguments, "--quiet"], cwd=ROOT, check=True)


def furnish(pair: Pair, executable: str, wheel: Path) -> None:
    """Put the wheel into the virtualenv of a pair, which is kept while its recipe is the same."""
    inputs = [ROOT / "pyproject.toml", LOCK, Path(__file__)]
    recipe = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    stamp, python = pair.folder / "recipe", str(pair.folder / "bin" / "python")
    if not stamp.exists() or stamp.read_text() != recipe:
        uv("venv", "--clear", "--python", executable, str(pair.folder))
        extras = [word for extra in EXTRAS for word in ("--extra", extra)]
        asked = ["--requirements", "pyproject.toml", *extras, f"celery=={pair.celery}.*"]
        uv("pip", "install", "--python", python, *pair.resolution, *asked)
        tools = rf"^(?:{'|'.join(TOOLS)})==[^\\\n]+"
        pinned = [line.strip() for line in re.findall(tools, LOCK.read_text(), re.MULTILINE)]
        uv("pip", "install", "--python", python, *pinned)
        # It asks for an older Celery than it runs on.
        uv("pip", "install", "--python", python, "--no-deps", BATCHES)
        stamp.write_text(recipe)
    uv("pip", "install", "--python", python, "--no-deps", "--reinstall", str(wheel))


def passes(pair: Pair) -> bool:
    """Run the tests of a pair, show what they said, and say whether all passed."""
    # Without the tree on its path pytest finds the installed wheel.
    pytest = [f"{pair.folder}/bin/pytest", "-q", "-o", "pythonpath=", "-p", "no:cacheprovider"]
    unit = ["tests/unit", *OF_THE_TREE]
    if pair.versions == "lowest":
        unit += ["-m", "not newest_sdk"]
    runs = [run([*pytest, *what]) for what in (unit, ["-m", "matrix", "tests/worker"])]
    print("\n".join([f"\nmatrix: {pair}", *(said for _, said in runs)]), flush=True)
    return all(well for well, _ in runs)


def run(command: list[str]) -> tuple[bool, str]:
    """Run a command with a deadline and return whether it succeeded, and what it said."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, timeout=PATIENCE, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode(errors="replace")
        return False, f"{said}\nnot done after {PATIENCE:.0f} s: {' '.join(command)}"
    return done.returncode == 0, done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tests on other Pythons and Celerys.")
    parser.add_argument("--all", action="store_true", help="every pair, not the two ends alone")
    everything: bool = parser.parse_args().all
    found = interpreters()
    print(f"matrix: found Python {', '.join(found) or 'none'} of {', '.join(PYTHONS)}", flush=True)
    if len(found) < 2:
        in_ci = os.environ.get("CI", "") not in ("", "0", "false")
        print("matrix: two are needed to say anything about Python versions; install another")
        if in_ci or not found:
            return 1
    wheel, chosen = build_wheel(), pairs(list(found), everything)
    for pair in chosen:
        print(f"matrix: installing {pair}", flush=True)
        furnish(pair, found[pair.python], wheel)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        well = list(pool.map(passes, chosen))
    failed = [pair for pair, passed in zip(chosen, well, strict=True) if not passed]
    for pair in failed:
        print(f"matrix: failed on {pair}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
