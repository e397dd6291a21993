"""How does main hear its pool processes, and nobody else?"""

from __future__ import annotations

import hmac
import os
import select
import shutil
import socket
import struct
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from otel_celery.wire import framing, will
from otel_celery.wire.framing import Record

_MOST_HEARD = 2 * framing.BUFFER
"""Bytes of one peer at a time: the kernel doubles the size, no more can wait."""
_CREDENTIALS = struct.Struct("3i")
_PREFIX = "otel-celery-"
_YOUNG = 60.0  # seconds: whoever made such a directory may not be listening yet


def _bind(listener: socket.socket) -> tuple[str, str]:
    """Bind to a socket in a directory that only this user may enter; return both paths.

    Where no directory can be made, as in a read-only container, or its path is too long for a
    socket, Linux has names without files: whoever connects is asked for its user in any case.
    """
    directory = ""
    try:
        directory = tempfile.mkdtemp(prefix=_PREFIX)  # mode 0700
        path = str(Path(directory, "relay"))
        listener.bind(path)
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
        if not hasattr(socket, "SO_PEERCRED"):
            raise
        path = f"@otel-celery/{os.urandom(16).hex()}"
        listener.bind(framing.address(path))
        return "", path
    return directory, path


def _sweep() -> None:
    """Remove what workers of this user left that were killed: nobody listens there any more."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/"):
        try:
            told = path.lstat()
            if told.st_uid != os.getuid() or time.time() - told.st_mtime < _YOUNG:
                continue
            with framing.new_socket() as probe:
                probe.setblocking(False)
                probe.connect(str(path / "relay"))
        except ConnectionRefusedError:
            shutil.rmtree(path, ignore_errors=True)  # which follows no link
        except OSError:
            continue


class Ear:
    """Main's end: listens, takes whole records, sees who has gone."""

    def __init__(self) -> None:
        _sweep()
        self._listener = framing.new_socket()
        self._directory, self.path = _bind(self._listener)
        secret = os.urandom(16).hex()
        self.address = f"{secret} {self.path}"
        """What a pool process needs to be heard; whoever has it may speak for the worker."""
        self._greeting = framing.greeting(secret)
        self._strangers: set[int] = set()  # connected, and have not shown the secret
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._peers: dict[int, tuple[socket.socket, int, bytearray]] = {}
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)
        self._space = bytearray(framing.MAX_RECORD)
        self.refused = 0
        self.lost = 0
        """Records that processes took along that have ended."""
        self.gone: deque[tuple[int, int]] = deque()
        """(pid, monotonic ns) of processes that have ended, and whose last record has been read."""

    def wait(self, seconds: float) -> bool:
        """Wait until somebody says something; True if so."""
        return bool(self._poll.poll(seconds * 1000))

    def records(self) -> Iterator[Record]:
        """Yield all records that have arrived by now."""
        self._accept()
        for number in list(self._peers):
            yield from self._read(number)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:  # nobody more, or no descriptor left: those who are there are heard
                return
            pid = self._trusted(peer)
            if pid is None:
                self.refused += 1
                peer.close()
                continue
            peer.setblocking(False)
            self._peers[peer.fileno()] = (peer, pid, bytearray())
            self._strangers.add(peer.fileno())
            self._poll.register(peer, select.POLLIN)

    @staticmethod
    def _trusted(peer: socket.socket) -> int | None:
        """Return the pid of a peer of the same user, None for anybody else's."""
        if not hasattr(socket, "SO_PEERCRED"):
            return 0  # the private directory is the guard there
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        return int(pid) if uid == os.getuid() else None

    def _read(self, number: int) -> Iterator[Record]:
        peer, pid, partial = self._peers[number]
        heard = 0
        while heard < _MOST_HEARD and number in self._peers:
            try:
                size = peer.recv_into(self._space)
            except BlockingIOError:
                return
            except OSError:
                size = 0
            if not size:
                if number not in self._strangers:
                    self.gone.append((pid, time.monotonic_ns()))
                    self.lost += will.read(self.path, pid)
                self._forget(number)
                return
            heard += size
            if framing.SEQPACKET:
                yield from self._record(memoryview(self._space)[:size], number, pid)
                continue
            partial += memoryview(self._space)[:size]
            while len(partial) >= framing.LENGTH.size and number in self._peers:
                (length,) = framing.LENGTH.unpack_from(partial)
                if length > self._longest(number):
                    self.refused += 1
                    self._forget(number)
                    return
                if len(partial) < framing.LENGTH.size + length:
                    break
                whole = bytes(partial[framing.LENGTH.size : framing.LENGTH.size + length])
                del partial[: framing.LENGTH.size + length]
                yield from self._record(memoryview(whole), number, pid)

    def _longest(self, number: int) -> int:
        return len(self._greeting) if number in self._strangers else framing.MAX_RECORD

    def _record(self, whole: memoryview, number: int, pid: int) -> Iterator[Record]:
        if number in self._strangers:
            if hmac.compare_digest(whole, self._greeting):
                self._strangers.discard(number)
            else:
                self.refused += 1
                self._forget(number)
            return
        if len(whole) < framing.HEAD.size or bytes(whole[:4]) != framing.MAGIC:
            self.refused += 1
            return
        _, kind, dropped = framing.HEAD.unpack_from(whole)
        yield Record(kind, dropped, bytes(whole[framing.HEAD.size :]), pid)

    def _forget(self, number: int) -> None:
        peer, _, _ = self._peers.pop(number)
        self._strangers.discard(number)
        self._poll.unregister(peer)
        peer.close()

    def close(self) -> None:
        """Stop listening and remove the directory."""
        for number in list(self._peers):
            self._forget(number)
        self._listener.close()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    def forget_after_fork(self) -> None:
        """In a pool process: close what was inherited, so that main's end alone is main's."""
        for peer, _, _ in self._peers.values():
            peer.close()
        self._listener.close()
