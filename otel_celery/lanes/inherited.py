"""What does a forked process inherit of connections, and under which locks?

Its own requests must not mix with the parent's on one connection. And urllib3 empties its pools
when a process ends, under locks that a thread of the parent may have held at the fork.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import requests

_DEEP = 6  # steps from a processor, a reader or a lane to the session of its exporter
_LOOKED_INTO = ("opentelemetry.", "otel_celery.")


def renew_connections(sender: Any) -> None:
    """In a fork: have what sends by HTTP open connections of this process.

    The parent's stay open, and nobody waits for its locks.
    """
    for session in _sessions(sender, _DEEP):
        for pool in _unlocked_pools(session):
            kept = pool.pool.queue
            pool.inherited = list(kept)  # collecting them would close them
            kept.clear()  # in place; a list with urllib3 2, a deque with urllib3 1
            kept.extend([None] * len(pool.inherited))


def _sessions(owner: Any, deep: int) -> Iterator[requests.Session]:
    """Yield the HTTP sessions that an object of OpenTelemetry's or ours has somewhere within it."""
    if isinstance(owner, requests.Session):
        yield owner
    elif deep and isinstance(owner, list | tuple):
        for each in owner:
            yield from _sessions(each, deep)
    elif deep and type(owner).__module__.startswith(_LOOKED_INTO):
        held: Mapping[str, Any] = getattr(owner, "__dict__", {})
        for each in list(held.values()):
            yield from _sessions(each, deep - 1)


def _unlocked_pools(session: requests.Session) -> Iterator[Any]:
    """Yield the pools of a session, with locks that nobody holds."""
    for adapter in session.adapters.values():
        proxies = getattr(adapter, "proxy_manager", {}).values()
        for manager in (getattr(adapter, "poolmanager", None), *proxies):
            pools = getattr(manager, "pools", None)
            if pools is None:
                continue
            if hasattr(pools, "lock"):
                pools.lock = threading.RLock()
            for key in pools.keys():  # noqa: SIM118 - it cannot be iterated
                kept = getattr(pools[key], "pool", None)
                if isinstance(kept, queue.Queue):
                    held = list(kept.queue)
                    queue.Queue.__init__(kept, kept.maxsize)  # in place: a finalizer has this one
                    kept.queue.extend(held)
                    yield pools[key]
