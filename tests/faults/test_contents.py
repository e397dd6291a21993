"""Is the truth told whatever tasks are called, given, and return or raise?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, CONTRIB, OURS, Side
from tests.receiver import Receiver, receiving
from tests.worker import harness

ADDRESS = re.compile("0x[0-9a-f]+")
ODD = (
    "10 MB of text", "wide characters", "binary", "NUL", "lone surrogates", "str() raises",
    "str() gives no text", "repr() raises", "no pickle", "pickled one way", "local class",
    "recursion", "300 causes",
)  # fmt: skip


def results(environ: Mapping[str, str], ids: list[str]) -> list[Any]:
    """Return what the result backend has of these tasks."""
    with redis.Redis.from_url(environ["CASES_BACKEND"]) as backend:
        return [json.loads(backend.get(f"celery-task-meta-{id_}") or "null") for id_ in ids]


@pytest.mark.parametrize("side", [OURS, pytest.param(CONTRIB, marks=pytest.mark.long)])
@pytest.mark.fault("odd-exceptions")
def test_an_odd_exception_is_told_and_spoils_nothing(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    found, ids, neighbours = odd(tmp_path, environ, receiver)
    told = [one for id_ in ids for one in found[id_]]
    beside = [one for id_ in neighbours for one in found[id_]]
    measured("process spans of tasks that failed", side, f"{len(told)} of {len(ids)}")
    measured("process spans of tasks between them", side, f"{len(beside)} of {len(neighbours)}")
    if side == OURS:
        assert {id_: len(found[id_]) for id_ in ids + neighbours} == dict.fromkeys(
            ids + neighbours, 1
        )
        assert {one.attributes["celery.task.state"] for one in told} == {"failure"}
        assert {one.attributes["celery.task.state"] for one in beside} == {"success"}
        for one in told:
            (event,) = one.span.events
            text = harness.plain(event.attributes)
            assert text["exception.type"], text
            assert len(text["exception.message"]) <= 4096
            assert len(text["exception.stacktrace"]) <= 32_768
        assert harness.points(receiver, "otel_celery.faults") == []
        assert harness.total(receiver, "celery.task.outcomes") == len(ids) + len(neighbours)


@pytest.mark.long
@pytest.mark.fault("odd-exceptions")
def test_an_odd_exception_ends_as_with_celery_alone(
    tmp_path: Path, redis_url: str, measured: Measured
) -> None:
    ended: dict[Side, list[Any]] = {}
    for side in (ALONE, OURS):
        with receiving() as receiver:
            environ = sides.environment(side, redis_url, receiver)
            _, ids, _ = odd(tmp_path, environ, receiver)
            text = json.dumps([[one["status"], one["result"]] for one in results(environ, ids)])
            ended[side] = json.loads(ADDRESS.sub("0x", text))
    same = sum(one == other for one, other in zip(*ended.values(), strict=True))
    measured("results as with Celery alone", OURS, f"{same} of {len(ended[OURS])}")
    assert ended[OURS] == ended[ALONE]


def odd(
    folder: Path, environ: dict[str, str], receiver: Receiver
) -> tuple[Any, list[str], list[str]]:
    """Run a task for each odd exception between well ones; return spans and ids of both."""
    orders = [order for kind in ODD for order in (("odd", [kind]), ("returns", [1]))]
    sent = sides.order(environ, *orders)
    with sides.worker(folder, environ, *sides.QUIET, app="contents_app") as worker:
        sides.drained(environ["CASES_BROKER"])
        sides.exported(cast("Side", environ["WATCHED_BY"]), receiver, len(sent))
        assert worker.stop() == 0
    return harness.deliveries(harness.spans(receiver)), sent[::2], sent[1::2]
