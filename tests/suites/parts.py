"""Which suites are there, and what does each part of them need?

A part is what one pytest runs: a folder of t/unit, a file of t/integration. Each has brokers of its
own that nothing was in before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

import amqp

from tests.services import rabbitmq_server, redis_server

Suite = Literal["unit", "redis", "rabbitmq"]
SUITES: tuple[Suite, ...] = get_args(Suite)
NAMES: Mapping[Suite, str] = {
    "unit": "t/unit",
    "redis": "t/integration on Redis",
    "rabbitmq": "t/integration on RabbitMQ",
}
TASKS = "celery"
"""The one queue that t/integration uses."""


def parts(suite: Suite, sources: Path) -> list[str]:
    """Return the names of a suite's parts, as pytest takes them."""
    folder = sources / ("t/unit" if suite == "unit" else "t/integration")
    found = set(folder.glob("test_*.py"))
    if suite == "unit":
        found |= {path.parent for path in folder.glob("*/test_*.py")}
        found |= {path.parent.parent for path in folder.glob("*/*/test_*.py")}
    return sorted(str(path.relative_to(sources)) for path in found)


@contextlib.contextmanager
def shared_broker(suite: Suite, folder: Path) -> Iterator[str]:
    """Run what is too slow to start for each part, and yield its URL; "" where nothing is."""
    if suite == "rabbitmq":
        with rabbitmq_server(folder) as url:
            yield url.replace("amqp://", "pyamqp://")
    else:
        yield ""


@contextlib.contextmanager
def services(suite: Suite, folder: Path, shared: str) -> Iterator[dict[str, str]]:
    """Run what a part needs, empty, and yield the variables that name it."""
    if suite == "unit":
        yield {}
        return
    if shared:
        with amqp.Connection(urlsplit(shared).netloc.rpartition("@")[2]) as connection:
            connection.channel().queue_delete(TASKS)
    with redis_server(folder) as url:
        at = urlsplit(url)
        yield {
            "TEST_BROKER": shared or url,
            "TEST_BACKEND": url,
            "REDIS_HOST": str(at.hostname),
            "REDIS_PORT": str(at.port),
        }
