"""What of a session's connections does a forked process inherit, and under which locks?"""

from __future__ import annotations

import queue
import threading
from typing import Any

import requests


def renew_connections(session: requests.Session) -> None:
    """Have a session open connections of this process; the parent's stay open, they are its own."""
    for pool in unlocked_pools(session):
        kept = pool.pool.queue
        pool.inherited = list(kept)  # collecting them would close them
        kept.clear()  # in place, and no slices: urllib3 2 has a list here, urllib3 1 a deque
        kept.extend([None] * len(pool.inherited))


def unlocked_pools(session: requests.Session) -> list[Any]:
    """In a fork: return the pools of an inherited session, with locks that nobody holds.

    urllib3 empties its pools when the process ends, and asks for their locks. One that a thread of
    the parent held at the fork would be held for ever.
    """
    found = []
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
                    found.append(pools[key])
    return found
