"""Who watches the worker of a fault test, and what did each of them tell?"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import redis

from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness

HERE = Path(__file__).parent

Side = Literal["alone", "ours", "contrib"]
ALONE: Side = "alone"
OURS: Side = "ours"
CONTRIB: Side = "contrib"
SIDES = (ALONE, OURS, CONTRIB)
WATCHING = (OURS, CONTRIB)


def environment(side: Side, url: str, receiver: Receiver, **variables: str) -> dict[str, str]:
    """Return the variables of a program that publishes or works, watched by one side.

    Args:
        url: the broker's; a Redis is the result backend as well.
        receiver: where OTLP goes, unless OTEL_EXPORTER_OTLP_ENDPOINT is among the variables.
        variables: more of them, or others.
    """
    ours = {
        "WATCHED_BY": side,
        "PYTHONPATH": os.pathsep.join([str(HERE), str(harness.HERE), str(HERE.parents[1])]),
    }
    return harness.environment(url, receiver, **ours | variables)


@contextlib.contextmanager
def worker(
    folder: Path, environ: dict[str, str], *arguments: str, app: str = "watched_app"
) -> Iterator[harness.Worker]:
    """Run a worker of an app in this folder until it is ready."""
    pooled = environ | {"WATCHED_IN": "pool"}
    with harness.worker(folder, pooled, *arguments, app=app) as running:
        yield running


def send(environ: dict[str, str], task: str, number: int = 1, *args: object) -> list[str]:
    """Send messages from a program of its own and return their ids."""
    said = harness.run(environ, str(HERE / "send.py"), task, str(number), json.dumps(args))
    return said.split()


def drained(url: str, seconds: float = 300) -> None:
    """Wait until a Redis has neither waiting nor unacknowledged messages.

    With early acknowledgement, tasks may still run then: a warm stop waits for them.
    """
    with redis.Redis.from_url(url) as broker:
        eventually(lambda: not broker.llen("celery") and not broker.hlen("unacked"), seconds)
