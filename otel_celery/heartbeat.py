"""Where does a worker show others on its host that it lives, and whom do they believe?

A file in a folder that only its user may enter. Its time is that of the last heartbeat, what it
says changes with the connection to the broker. A probe reads it without loading anything else.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

STALE = 60.0
"""Seconds after which a heartbeat is no sign of life any more."""

_FORGOTTEN = 86400.0  # seconds after which a file of a worker that was killed may go

_TEMPORARY = "/tmp"  # a folder of our own in it, which is looked at before it is believed


class NotTrusted(PermissionError):
    """Somebody else could have written it."""


class Heartbeat(NamedTuple):
    """What a worker has shown last."""

    at: float  # Unix seconds
    pid: int
    connected: bool  # to its broker


def folder() -> Path:
    """Return where the workers of this user show their heartbeats; it need not exist."""
    return Path(os.environ.get("TMPDIR") or _TEMPORARY, f"otel-celery.{os.geteuid()}")


def path_of(worker: str) -> Path:
    """Return the file of a worker.

    Args:
        worker: its nodename.
    """
    return folder() / quote(worker, safe="@")


def names() -> list[str]:
    """Return the nodenames of all workers that have left a file."""
    try:
        found = [path.name for path in folder().iterdir()]
    except OSError:
        return []
    return sorted(unquote(name) for name in found if not name.startswith("."))


def read(path: Path) -> Heartbeat:
    """Return what a worker has shown last.

    Raises:
        FileNotFoundError: it never started, or has stopped.
        NotTrusted: the file or its folder is another user's, or open to others.
        OSError: it cannot be read.
    """
    _trust(path.parent)
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(file)
        _owned(found, path, stat.S_ISREG)
        said = json.loads(os.read(file, 1024))
        return Heartbeat(found.st_mtime, int(said["pid"]), said["connected"] is True)
    except (ValueError, TypeError, KeyError):
        raise NotTrusted(f"{path} is no file of a worker") from None
    finally:
        os.close(file)


class HeartbeatFile:
    """The file of one worker, as the worker itself sees it.

    Args:
        worker: its nodename.
    """

    def __init__(self, worker: str) -> None:
        self.path = path_of(worker)
        self._said = b""

    def show(self, at: float, *, connected: bool) -> None:
        """Give the file its time, and write it where it is not there or says something else.

        Args:
            at: when the worker's loop last turned, Unix seconds.
            connected: to its broker.

        Raises:
            OSError: there is no room, or no right; the next call tries again.
        """
        says = json.dumps({"pid": os.getpid(), "connected": connected}).encode()
        if says == self._said:
            try:
                return os.utime(self.path, (at, at), follow_symlinks=False)
            except FileNotFoundError:
                pass  # somebody tidied up
        self._said = b""
        self._write(says, at)
        self._said = says

    def _write(self, says: bytes, at: float) -> None:
        """Put a whole file in place: a reader sees the old or the new one."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        _trust(self.path.parent)
        _sweep(self.path.parent)
        new = self.path.with_name(f".{self.path.name}")
        new.unlink(missing_ok=True)
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, says)
            os.utime(file, (at, at))
        finally:
            os.close(file)
        new.replace(self.path)

    def remove(self) -> None:
        """Show no life any more."""
        self.path.unlink(missing_ok=True)


def _sweep(place: Path) -> None:
    """Remove what workers left that were killed, and whose name has not come again."""
    for path in place.iterdir():
        with suppress(FileNotFoundError):  # another worker was quicker
            if time.time() - path.lstat().st_mtime > _FORGOTTEN:
                path.unlink()


def _trust(place: Path) -> None:
    _owned(place.lstat(), place, stat.S_ISDIR)


def _owned(found: os.stat_result, path: Path, is_kind: Callable[[int], bool]) -> None:
    """Raise unless it is what it should be, this user's, and nobody else may write it."""
    if not is_kind(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise NotTrusted(f"{path} is not this user's alone")
