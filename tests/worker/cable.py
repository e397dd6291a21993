"""A connection to a server that a test can cut."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

_PIECE = 1 << 16


class Cable:
    """Forwards each connection to its own port on to another.

    From a piece on that has the words of `silences` in it, a connection stays open and says
    nothing more, either way.
    """

    def __init__(self, port: int) -> None:
        self.silences = b""
        self.silent_since: list[float] = []  # Unix seconds, of each connection
        self._far = port
        self._ends: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def cut(self) -> None:
        """End all connections that there are; new ones are taken."""
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut, and take no connections any more."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _start(self, run: Callable[..., None], *ends: socket.socket) -> None:
        thread = threading.Thread(target=run, args=ends, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._far))
                self._ends += (near, far)
                self._start(self._forward, near, far)

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        silent = False
        with near, far, contextlib.suppress(OSError):
            while True:
                readable, _, _ = select.select([near, far], [], [])
                for end in readable:
                    piece = end.recv(_PIECE)
                    if not piece:
                        return
                    if self.silences and self.silences in piece and not silent:
                        silent = True
                        self.silent_since.append(time.time())
                    if not silent:
                        (far if end is near else near).sendall(piece)


@contextlib.contextmanager
def cable(port: int) -> Iterator[Cable]:
    """Lay a cable to a port of this machine."""
    laid = Cable(port)
    try:
        yield laid
    finally:
        laid.close()
