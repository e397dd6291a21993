"""Main: what must no thread be in the middle of while a pool process is forked?

The C library resolves names under locks of its own, which a fork copies as they are. A pool process
that was forked while a thread of main resolved one hangs for ever when it resolves one itself, at
its first publish for instance. Celery's main has no other threads; ours connect to the Collector.
So a fork waits until nobody resolves, for a moment at most: a name server may be slow, but then the
locks are not held.
"""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable
from typing import Any

_PATIENCE = 0.1  # seconds


class ForkGate:
    """Keeps forks and the resolving of names in threads apart.

    Args:
        patience: most seconds that a fork waits.
    """

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._inner: Callable[..., Any] | None = None
        self._wrapped: Callable[..., Any] | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._resolving, self._forking = 0, False

    def install(self) -> None:
        """Have `socket.getaddrinfo` pass through the gate."""
        if self._inner is not None:
            return
        self._inner = inner = socket.getaddrinfo

        @functools.wraps(inner)
        def getaddrinfo(*args: Any, **options: Any) -> Any:
            self._enter()
            try:
                return inner(*args, **options)
            finally:
                self._leave()

        self._wrapped = socket.getaddrinfo = getaddrinfo

    def remove(self) -> None:
        """Put back what was there, unless somebody else has wrapped it since."""
        if self._inner is not None and socket.getaddrinfo is self._wrapped:
            socket.getaddrinfo = self._inner
            self._inner = self._wrapped = None

    def before_fork(self) -> None:
        with self._changed:
            self._forking = True
            self._changed.wait_for(lambda: not self._resolving, self._patience)

    def after_fork(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        self._begin_anew()  # the parent's condition may have been held at the fork
        self.remove()

    def _enter(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking, self._patience)
            self._resolving += 1

    def _leave(self) -> None:
        with self._changed:
            self._resolving -= 1
            self._changed.notify_all()
