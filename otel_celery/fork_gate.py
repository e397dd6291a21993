"""What must no thread of ours be in the middle of while a process is forked?

The C library resolves names under locks of its own, which a fork copies as they are. A pool process
that was forked while a thread of main resolved one hangs for ever when it resolves one itself, at
its first publish for instance. gRPC cares for its state in a fork only if no other thread is in it;
else the child is aborted, or loses what it exports, when it uses gRPC itself. Celery's main has no
other threads; ours connect to the Collector. So a fork waits until they do neither, for a moment at
most: a name server may be slow, but then the locks are not held.
"""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable
from typing import Any

_PATIENCE = 0.1  # seconds


class ForkGate:
    """Keeps forks apart from what is done `with` it, and from the resolving of names.

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
        self._inside, self._forking = 0, False

    def install(self) -> None:
        """Have `socket.getaddrinfo` pass through the gate."""
        if self._inner is not None:
            return
        self._inner = inner = socket.getaddrinfo

        @functools.wraps(inner)
        def getaddrinfo(*args: Any, **options: Any) -> Any:
            with self:
                return inner(*args, **options)

        self._wrapped = socket.getaddrinfo = getaddrinfo

    def remove(self) -> None:
        """Put back what was there, unless somebody else has wrapped it since."""
        if self._inner is not None and socket.getaddrinfo is self._wrapped:
            socket.getaddrinfo = self._inner
            self._inner = self._wrapped = None

    def before_fork(self) -> None:
        with self._changed:
            self._forking = True
            self._changed.wait_for(lambda: not self._inside, self._patience)

    def after_fork(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        self._begin_anew()  # the parent's condition may have been held at the fork
        self.remove()

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking, self._patience)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
