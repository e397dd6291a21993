"""One day of the shop for all: open, with a Collector that dies and a Prometheus that restarts."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest
import redis

from collector.native.stack import NATIVE, Stack, unavailable
from tests.services import missing
from tests.stack.day import Day
from tests.waiting import eventually

OPEN_SECONDS = 75.0


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """Yield the stack after the shop has closed and everything that it sent has ended."""
    if lacks := unavailable():
        why = "; ".join(f"{name}: {reason.splitlines()[0]}" for name, reason in lacks.items())
        missing(f"the stack lacks {why}")
    environ = {"TAIL_DECISION_WAIT": "5s"}  # else each look for a trace waits for half a minute
    with Stack(tmp_path_factory.mktemp("stack"), NATIVE, environ=environ) as stack:
        opened = time.monotonic()
        wait_until(opened + OPEN_SECONDS / 3, stack)
        stack.stop("collector", signal.SIGKILL)
        time.sleep(3)  # an outage, while tasks run
        stack.start("collector")
        wait_until(opened + OPEN_SECONDS * 2 / 3, stack)
        stack.stop("prometheus", signal.SIGKILL)
        stack.start("prometheus")
        wait_until(opened + OPEN_SECONDS, stack)
        stack.stop("beat")
        stack.stop("web")
        books = next(
            json.loads(line.removeprefix("books: "))
            for line in reversed(stack.log("web").splitlines())
            if line.startswith("books: ")
        )
        found = Day(stack, books, stack.log("beat").count("Sending due task"))
        eventually(lambda: nothing_waits(stack), 120, 0.2)
        eventually(lambda: found.outcomes() == found.expected(), 90, 1)
        yield found


def wait_until(moment: float, stack: Stack) -> None:
    """Let time pass in the shop, and see that every program still runs."""
    while time.monotonic() < moment:
        stack.check()
        time.sleep(0.5)


def nothing_waits(stack: Stack) -> bool:
    """Is no message in a queue, held by the worker, or waiting for its time?"""
    with redis.Redis.from_url(stack.url("redis", 6379).replace("http", "redis")) as client:
        return not any(client.llen(queue) for queue in ("orders", "documents")) and not (
            client.hlen("unacked")
        )
