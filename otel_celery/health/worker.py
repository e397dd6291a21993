"""Does the loop of a worker on this host turn?

Loads neither Celery nor OpenTelemetry: a probe starts a process every few seconds.
"""

from __future__ import annotations

import re
import socket
import time

from otel_celery import heartbeat
from otel_celery.health.report import DEGRADED, HEALTHY, UNHEALTHY, Finding


def check_worker(
    nodename: str = "celery@%h", max_age: float = heartbeat.STALE, now: float | None = None
) -> Finding:
    """Look at the file that the worker's main touches every five seconds.

    Args:
        nodename: as `celery worker -n` takes it, with %h, %n and %d.
        max_age: seconds since the last heartbeat; the worker must be of this user.
        now: Unix seconds.
    """
    name = expanded(nodename, socket.gethostname())
    path = heartbeat.path_of(name)
    try:
        found = heartbeat.read(path)
    except FileNotFoundError:
        return Finding("worker", UNHEALTHY, f"no {path}{_others()}", {"worker": name})
    except OSError as why:
        return Finding("worker", UNHEALTHY, str(why), {"worker": name})
    # A clock that was put back does not keep a dead worker alive: ahead is as bad as behind.
    age = abs((time.time() if now is None else now) - found.at)
    figures = {
        "worker": name,
        "pid": found.pid,
        "heartbeat_age": round(age, 3),
        "connected": found.connected,
    }
    if age > max_age:
        return Finding("worker", UNHEALTHY, f"no heartbeat for {age:.0f} s", figures)
    if not found.connected:
        return Finding("worker", DEGRADED, "not connected to its broker", figures)
    return Finding("worker", HEALTHY, f"heartbeat {age:.0f} s ago", figures)


def expanded(nodename: str, host: str) -> str:
    """Return a nodename as a worker on this host makes it of its `-n`.

    Source: celery 5.7, `utils/nodenames.py`, which takes half a second to import.
    """
    name, at, place = nodename.partition("@")
    if not at:
        name, place = "", nodename
    short, _, domain = host.partition(".")
    keys = {"h": host, "n": short, "d": domain, "%": "%"}
    whole = f"{name or 'celery'}@{place or host}"
    return re.sub("%([hnd%])", lambda key: keys[key[1]], whole)


def _others() -> str:
    """Return which workers of this user have left a file, for people who have named another."""
    found = heartbeat.names()
    return f"; there are {', '.join(found)}" if found else ""
