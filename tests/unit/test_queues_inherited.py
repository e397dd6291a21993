"""A lock of kombu's that the courier held at a fork keeps no pool process waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport.redis import Channel

from otel_celery.queues.inherited import renew_after_fork


@contextmanager
def held_elsewhere(lock: Any) -> Iterator[None]:
    """Have another thread hold a lock, as one that is not there after a fork."""
    holding, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            holding.set()
            over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(30)
    yield
    over.set()
    thread.join()


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        pytest.param(Celery, "amqp", id="of-the-app"),
        pytest.param(AMQP, "queues", id="of-its-queues"),
        pytest.param(Connection, "connection_errors", id="of-a-connection"),
        pytest.param(Channel, "client", id="of-a-transport"),
    ],
)
def test_a_property_that_another_thread_was_in_can_be_had(cls: type, name: str) -> None:
    found = vars(cls)[name]
    if not hasattr(found, "lock"):
        pytest.skip("this version guards it by none")
    with held_elsewhere(found.lock):
        assert not found.lock.acquire(blocking=False)
        renew_after_fork()
        assert found.lock.acquire(blocking=False)
        found.lock.release()
