"""How do whole records get from a pool process to main?

Main listens on a `SOCK_SEQPACKET` socket in a private directory; each pool process connects, so
that each has a buffer of its own, and end-of-file says that a dead process's last word has been
read. Nothing at the sending end ever waits: what does not fit is kept in a short backlog, then
dropped and counted, and the count travels with the next record.

Where the kernel has no SEQPACKET for local sockets (macOS), STREAM with a length prefix.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAX_RECORD = 1 << 20
SEQPACKET: bool = hasattr(socket, "SOCK_SEQPACKET") and os.uname().sysname != "Darwin"

_HEAD = struct.Struct("<4sBI")  # magic, kind, records dropped since the last one
_LENGTH = struct.Struct("<I")
_MAGIC = b"otc1"
_BACKLOG = 64
_BUFFER = 1 << 20
_MOST_HEARD = 2 * _BUFFER  # of one peer at a time: the kernel doubles the size, no more can wait
_CREDENTIALS = struct.Struct("3i")
_NONBLOCKING = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)


class Record(NamedTuple):
    """One record as it arrived."""

    kind: int
    dropped: int
    payload: bytes
    pid: int


def _new_socket() -> socket.socket:
    kind = socket.SOCK_SEQPACKET if SEQPACKET else socket.SOCK_STREAM
    return socket.socket(socket.AF_UNIX, kind)


def _bind(listener: socket.socket) -> tuple[str, str]:
    """Bind to a socket in a directory that only this user may enter; return both paths.

    Where no directory can be made, as in a read-only container, or its path is too long for a
    socket, Linux has names without files: whoever connects is asked for its user in any case.
    """
    directory = ""
    try:
        directory = tempfile.mkdtemp(prefix="otel-celery-")  # mode 0700
        path = str(Path(directory, "relay"))
        listener.bind(path)
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
        if not hasattr(socket, "SO_PEERCRED"):
            raise
        path = f"@otel-celery/{os.urandom(16).hex()}"
        listener.bind(_address(path))
        return "", path
    return directory, path


def _address(path: str) -> str:
    return "\0" + path[1:] if path.startswith("@") else path


class Mouth:
    """The pool process's end.

    Args:
        path: the socket that main listens on.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._backlog: deque[bytes] = deque()
        self._rest = b""  # of a record that a stream took in part
        self._pumping = False
        self.dropped = 0
        self._untold = 0
        self._lock = threading.RLock()  # tasks end spans in threads of their own, too

    def send(self, kind: int, payload: bytes) -> bool:
        """Send a record without waiting; False: it was dropped and counted."""
        with self._lock:
            return self._send(kind, payload)

    def offer(self, kind: int, payload: bytes) -> bool:
        """Send a record if it can go now; False: nothing was done or counted."""
        with self._lock:
            if self._backlog:
                self._pump()
                if self._backlog:
                    return False
            if len(payload) > MAX_RECORD - _HEAD.size:
                self._drop()
                return True
            record, untold = self._record(kind, payload), self._untold
            self._backlog.append(record)
            self._untold = 0
            self._pump()
            first = self._backlog[0] if self._backlog else None
            if first is not record or len(self._rest) not in (0, len(record)):
                return True  # it has left, at least in part
            self._backlog.popleft()  # what a signal handler sent meanwhile stays
            self._rest = b""
            self._untold += untold
            return False

    def lose(self, records: int = 1) -> None:
        """Count what its owner gave up before it was sent."""
        with self._lock:
            self.dropped += records
            self._untold += records

    def _record(self, kind: int, payload: bytes) -> bytes:
        record = _HEAD.pack(_MAGIC, kind, self._untold) + payload
        return record if SEQPACKET else _LENGTH.pack(len(record)) + record

    def _send(self, kind: int, payload: bytes) -> bool:
        if len(payload) > MAX_RECORD - _HEAD.size:
            return self._drop()
        self._backlog.append(self._record(kind, payload))
        self._untold = 0
        lost = self.dropped
        self._pump()
        if len(self._backlog) > _BACKLOG:
            self._lose(self._backlog.pop())
        return self.dropped == lost

    def _lose(self, record: bytes) -> None:
        self._untold += _HEAD.unpack_from(record, 0 if SEQPACKET else _LENGTH.size)[2]
        self._drop()

    def _drop(self) -> bool:
        self.lose()
        return False

    def _pump(self) -> None:
        """Send what waits, as far as it goes."""
        if self._pumping:  # a signal handler speaks: what it says goes behind the record at hand
            return
        self._pumping = True
        try:
            while self._backlog or self._rest:
                self._push()
        except BlockingIOError:
            return
        except OSError as why:
            if why.errno in (errno.ENOBUFS, errno.ENOMEM):
                return  # the kernel is short of memory: as if the buffer were full
            self.close()  # main is gone, or not yet there: tried again at the next record
        finally:
            self._pumping = False

    def _push(self) -> None:
        end = self._socket or self._connect()
        if not self._rest:
            self._rest = self._backlog[0]
        try:
            self._rest = self._rest[end.send(self._rest, _NONBLOCKING) :]
        except OSError as why:
            if why.errno != errno.EMSGSIZE:
                raise
            self._rest = b""
            self._lose(self._backlog.popleft())  # larger than this kernel's buffers: never fits
            return
        if not self._rest:
            self._backlog.popleft()

    def drain(self, timeout: float) -> bool:
        """Before the process ends: wait until main has taken what waits; False if it has not."""
        end = time.monotonic() + timeout
        with self._lock:
            while self._backlog:
                self._pump()
                left = end - time.monotonic()
                if not self._backlog or self._socket is None or left <= 0:
                    break
                select.select([], [self._socket], [], left)
            return not self._backlog

    def _connect(self) -> socket.socket:
        end = _new_socket()
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            end.setblocking(False)
            end.connect(_address(self._path))
        except OSError:
            end.close()
            raise
        self._socket, self._rest = end, b""
        return end

    def close(self) -> None:
        """Let go of the connection; the next record makes a new one."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""


class Ear:
    """Main's end: listens, takes whole records, sees who has gone."""

    def __init__(self) -> None:
        self._listener = _new_socket()
        self._directory, self.path = _bind(self._listener)
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._peers: dict[int, tuple[socket.socket, int, bytearray]] = {}
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)
        self._space = bytearray(MAX_RECORD)
        self.refused = 0
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
        while heard < _MOST_HEARD:
            try:
                size = peer.recv_into(self._space)
            except BlockingIOError:
                return
            except OSError:
                size = 0
            if not size:
                self._forget(number)
                self.gone.append((pid, time.monotonic_ns()))
                return
            heard += size
            if SEQPACKET:
                yield from self._record(memoryview(self._space)[:size], pid)
                continue
            partial += memoryview(self._space)[:size]
            while len(partial) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(partial)
                if length > MAX_RECORD:
                    self.refused += 1
                    self._forget(number)
                    return
                if len(partial) < _LENGTH.size + length:
                    break
                whole = bytes(partial[_LENGTH.size : _LENGTH.size + length])
                del partial[: _LENGTH.size + length]
                yield from self._record(memoryview(whole), pid)

    def _record(self, whole: memoryview, pid: int) -> Iterator[Record]:
        if len(whole) < _HEAD.size or bytes(whole[:4]) != _MAGIC:
            self.refused += 1
            return
        _, kind, dropped = _HEAD.unpack_from(whole)
        yield Record(kind, dropped, bytes(whole[_HEAD.size :]), pid)

    def _forget(self, number: int) -> None:
        peer, _, _ = self._peers.pop(number)
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
