"""What is lost with a pool process that is killed now? A number that main finds afterwards.

What a process drops it tells with its next record, which a killed one never sends. So while main
has no room, the number also stands in a file in main's directory, mapped into memory: writing it
costs no system call. Where main has no directory there is no such file.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

_NUMBER = struct.Struct("<Q")


class Will:
    """Keeps the number of one pool process.

    Args:
        relay: path of the socket that main listens on.
    """

    def __init__(self, relay: str) -> None:
        self._relay = relay
        self._page: mmap.mmap | None = None
        self.records = 0

    def write(self, records: int) -> None:
        """Note how many records would be lost."""
        if records == self.records:
            return
        if self._page is None:
            try:
                self._page = _made(_path(self._relay, os.getpid()))
            except OSError:  # no directory, or no room: tried again at the next drop
                return
        _NUMBER.pack_into(self._page, 0, records)
        self.records = records


def read(relay: str, pid: int) -> int:
    """Return how many records a process took along that has ended, and remove its file."""
    try:
        path = _path(relay, pid)
        told = path.read_bytes()
        path.unlink()
        return int(_NUMBER.unpack(told)[0])
    except (OSError, struct.error):  # mostly: it never had to drop anything
        return 0


def _path(relay: str, pid: int) -> Path:
    if not relay or relay.startswith("@"):
        raise FileNotFoundError(relay)
    return Path(relay).with_name(str(pid))


def _made(path: Path) -> mmap.mmap:
    end = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # Room that is only promised would be a SIGBUS at the first number on a full disk.
        os.write(end, bytes(_NUMBER.size))
        return mmap.mmap(end, _NUMBER.size)
    finally:
        os.close(end)
