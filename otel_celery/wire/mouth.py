"""How does a pool process speak without ever waiting?"""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
from collections import deque

from otel_celery.wire import framing
from otel_celery.wire.will import Will

_BACKLOG = 64
_NONBLOCKING = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)


class Mouth:
    """The pool process's end.

    Args:
        address: of main's `Ear`.
    """

    def __init__(self, address: str) -> None:
        self._secret, _, self._path = address.partition(" ")
        self._socket: socket.socket | None = None
        self._backlog: deque[bytes] = deque()
        self._rest = b""  # of a record that a stream took in part
        self._pumping = False
        self.dropped = 0
        self._untold = 0
        self._will = Will(self._path)
        self._lock = threading.RLock()  # tasks end spans in threads of their own, too

    def send(self, kind: int, payload: bytes) -> bool:
        """Send a record without waiting; False: it was dropped and counted."""
        with self._lock:
            try:
                return self._send(kind, payload)
            finally:
                self._bequeath()

    def offer(self, kind: int, payload: bytes) -> bool:
        """Send a record if it can go now; False: nothing was done or counted."""
        with self._lock:
            if self._backlog:
                self._pump()
                if self._backlog:
                    return False
            if len(payload) > framing.MAX_RECORD - framing.HEAD.size:
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
            self._bequeath()
            return False

    def lose(self, records: int = 1) -> None:
        """Count what its owner gave up before it was sent."""
        with self._lock:
            self.dropped += records
            self._untold += records
            self._bequeath()

    def _bequeath(self) -> None:
        """Note what would be lost with this process, if that is anything."""
        if self._backlog or self._untold or self._will.records:
            waiting = sum(1 + self._told_by(record) for record in self._backlog)
            self._will.write(self._untold + waiting)

    def _record(self, kind: int, payload: bytes) -> bytes:
        return framing.framed(framing.HEAD.pack(framing.MAGIC, kind, self._untold) + payload)

    def _send(self, kind: int, payload: bytes) -> bool:
        if len(payload) > framing.MAX_RECORD - framing.HEAD.size:
            return self._drop()
        self._backlog.append(self._record(kind, payload))
        self._untold = 0
        lost = self.dropped
        self._pump()
        if len(self._backlog) > _BACKLOG:
            self._lose(self._backlog.pop())
        return self.dropped == lost

    def _lose(self, record: bytes) -> None:
        self._untold += self._told_by(record)
        self._drop()

    @staticmethod
    def _told_by(record: bytes) -> int:
        """Return how many dropped records a record tells of."""
        start = 0 if framing.SEQPACKET else framing.LENGTH.size
        return int(framing.HEAD.unpack_from(record, start)[2])

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
            self._bequeath()
            return not self._backlog

    def _connect(self) -> socket.socket:
        end = framing.new_socket()
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, framing.BUFFER)
            end.setblocking(False)
            end.connect(framing.address(self._path))
            greeting = framing.greeting(self._secret)
            end.send(framing.framed(greeting), _NONBLOCKING)  # nothing waits yet: it fits
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
