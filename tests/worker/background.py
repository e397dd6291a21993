"""A worker that nobody waits for: what started it has ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.waiting import eventually
from tests.worker import harness


@contextlib.contextmanager
def background(
    folder: Path, environ: Mapping[str, str], how: str, *arguments: str, app: str
) -> Iterator[None]:
    """Run a worker that `celery multi` or `--detach` started, until it is gone.

    Args:
        folder: for its pid and its log.
        environ: its variables.
        how: "multi" or "detach".
        arguments: of its command line.
        app: module of its app.
    """
    pidfile, log = folder / "w1.pid", folder / "w1.log"
    celery = [sys.executable, "-m", "celery", "-A", app]
    files = [f"--pidfile={pidfile}", f"--logfile={log}", "-l", "INFO", *arguments]

    def command(*words: str) -> None:
        subprocess.run([*celery, *words], cwd=harness.HERE, env=environ, check=True, timeout=60)

    if how == "multi":
        command("multi", "start", harness.NODE, "-A", app, *files)
    else:
        command("worker", "--detach", "-n", harness.NODE, *files)
    try:
        eventually(lambda: log.exists() and " ready." in log.read_text())
        yield
    finally:
        main = int(pidfile.read_text())
        if how == "multi":
            command("multi", "stopwait", harness.NODE, f"--pidfile={pidfile}")
        else:
            os.kill(main, signal.SIGTERM)
            eventually(lambda: not alive(main))


def alive(pid: int) -> bool:
    """Is there such a process, that is no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
