"""Where do Celery's own tests come from? From the source archive of the locked version."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.matrix import LOCK, ROOT

HOME = ROOT / ".matrix" / "suites"


def locked(name: str) -> str:
    """Return how the lock names a package: its version, and the hashes of all its archives."""
    found = re.search(rf"^{name}==.*?(?=^\S)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{name} is not in {LOCK.name}"
    return re.sub(r"\n\s+#.*", "", found[0])


def version(name: str) -> str:
    """Return the version that the lock has of a package."""
    return locked(name).split()[0].partition("==")[2]


def sources() -> Path:
    """Return the folder of Celery's sources, which are fetched the first time.

    The lock's hash is asked for: another archive under that name is refused.
    """
    folder = HOME / f"celery-{version('celery')}"
    if not folder.exists():
        asked, kept = HOME / "sdist.txt", HOME / "sdist"
        kept.mkdir(parents=True, exist_ok=True)
        asked.write_text(locked("celery"))
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        how = ["--no-deps", "--no-binary", "celery", "--require-hashes", "--dest", str(kept)]
        subprocess.run([*pip, *how, "-r", str(asked)], check=True, timeout=300)
        with tarfile.open(kept / f"{folder.name}.tar.gz") as archive:
            archive.extractall(HOME, filter="data")
    return folder
