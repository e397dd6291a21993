"""Who watches the worker of a fault test, and what did each of them tell?"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import redis

from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness

HERE = Path(__file__).parent

Message = tuple[str, int, Sequence[object], Mapping[str, object]]
"""Task, how many, arguments, options of `send_task`."""

Side = Literal["alone", "ours", "contrib"]
ALONE: Side = "alone"
OURS: Side = "ours"
CONTRIB: Side = "contrib"
SIDES = (ALONE, OURS, CONTRIB)
WATCHING = (OURS, CONTRIB)
QUIET = ("-P", "prefork", "-c", "2", "--without-mingle", "--without-gossip")
"""Arguments of a worker that is alone, and starts sooner for it."""


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
    pooled = {"WATCHED_IN": "pool", **environ}
    with harness.worker(folder, pooled, *arguments, app=app) as running:
        yield running


def send(
    environ: dict[str, str], task: str, number: int = 1, *args: object, **options: object
) -> list[str]:
    """Send messages from a program of its own and return their ids."""
    return send_all(environ, (task, number, args, options))


def send_all(environ: dict[str, str], *messages: Message) -> list[str]:
    """Send messages of several kinds, in this order, and return their ids."""
    return harness.run(environ, str(HERE / "send.py"), json.dumps(messages)).split()


def program(environ: dict[str, str], name: str, *arguments: str) -> str:
    """Run a program of this folder to its end and return what it printed."""
    return harness.run(environ, str(HERE / name), *arguments)


def order(environ: dict[str, str], *orders: tuple[str, list[Any]]) -> list[str]:
    """Send tasks of the contents app, with their arguments, from one program; return their ids."""
    text = json.dumps([[task, args, {}] for task, args in orders])
    return program(environ, "contents_app.py", text).split()


def exported(side: Side, receiver: Receiver, process: int, seconds: float = 15) -> None:
    """Give contrib time to export so many process spans, so that a stop is not what is measured.

    What we ourselves have to tell must arrive all the same.
    """
    if side == CONTRIB:
        with contextlib.suppress(AssertionError):
            eventually(
                lambda: sum(one.kind == harness.CONSUMER for one in receiver.spans) >= process,
                seconds,
            )


def drained(url: str, seconds: float = 300) -> None:
    """Wait until a Redis has neither waiting nor unacknowledged messages.

    With early acknowledgement, tasks may still run then: a warm stop waits for them.
    """

    def empty() -> bool:
        return not broker.llen("celery") and not broker.hlen("unacked")

    with redis.Redis.from_url(url) as broker:
        eventually(empty, seconds)
        for _ in range(10):  # a message that is just being taken stands in neither for a moment
            time.sleep(0.05)
            eventually(empty, seconds)


def quiet(receiver: Receiver, seconds: float = 6) -> None:
    """Wait until nothing was sent for longer than a batch waits."""
    heard, since = -1, 0.0

    def silent() -> bool:
        nonlocal heard, since
        if len(receiver.traces) != heard:
            heard, since = len(receiver.traces), time.monotonic()
        return time.monotonic() - since > seconds

    eventually(silent, every=0.5)
