"""What may the thread that reads queues have held when a process was forked?

kombu guards every cached property, Celery's own among them, by a lock of its class. Celery alone
forks while nobody else is in there; our courier may be, and a pool process that needs such a
property would hang for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport.base import StdChannel, Transport
from kombu.transport.virtual.base import QoS
from kombu.utils.objects import cached_property

_TOUCHED = (Celery, AMQP, Connection, Transport, StdChannel, QoS)
"""Every class that a reader touches is one of these or comes from one."""


def renew_after_fork() -> None:
    """Give the properties fresh locks; in the child, before anything else there asks for one."""
    for cls in {found for base in _TOUCHED for found in _family(base)}:
        for each in vars(cls).values():
            if isinstance(each, cached_property) and hasattr(each, "lock"):
                each.lock = threading.RLock()


def _family(cls: type[Any]) -> Iterator[type[Any]]:
    yield cls
    for heir in cls.__subclasses__():
        yield from _family(heir)
