"""Is the truth told whatever tasks are called, given, and return or raise?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import redis

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, CONTRIB, OURS, Side
from tests.faults.strangers import Stranger
from tests.receiver import Receiver, receiving
from tests.worker import harness
from tests.worker.harness import PRODUCER

ADDRESS = re.compile("0x[0-9a-f]+")
NAMES, KEYS = 5000, 500  # of each of two floods
ODD = (
    "10 MB of text", "wide characters", "binary", "NUL", "lone surrogates", "str() raises",
    "str() gives no text", "repr() raises", "no pickle", "pickled one way", "local class",
    "recursion", "300 causes",
)  # fmt: skip


def results(environ: Mapping[str, str], ids: list[str]) -> list[Any]:
    """Return what the result backend has of these tasks."""
    with redis.Redis.from_url(environ["CASES_BACKEND"]) as backend:
        return [json.loads(backend.get(f"celery-task-meta-{id_}") or "null") for id_ in ids]


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("large-arguments-and-results")
def test_nothing_is_told_of_what_is_large(
    tmp_path: Path, redis_url: str, measured: Measured, side: Side
) -> None:
    sizes, spans, alone = {}, {}, {}
    for size in (1, 1_000_000):
        with receiving() as receiver:
            environ = sides.environment(side, redis_url, receiver)
            (id_,) = sides.order(environ, ("returns", [10 * size, {"times": size}]))
            sizes[size] = waiting(redis_url)
            if side != ALONE:
                bare = sides.environment(ALONE, redis_url, receiver)
                sides.order(bare, ("returns", [10 * size, {"times": size}]))
                alone[size] = waiting(redis_url) - sizes[size]
            with sides.worker(tmp_path, environ, *sides.QUIET, app="contents_app") as worker:
                sides.drained(redis_url)
                sides.exported(side, receiver, 2)
                assert worker.stop() == 0
            (result,) = results(environ, [id_])
            assert len(result["result"]) == 10 * size
            seen = harness.spans(receiver)
            spans[size] = sorted(
                one.span.ByteSize()
                for one in seen
                if one.attributes.get("messaging.message.id") == id_
            )
    took = [float(sides.program(environ, "timed.py", "30", text)) for text in ("1", "1000000")]
    measured("a publish of a few bytes, and of 1 MB", side, f"{took[0]:.1f} ms, {took[1]:.1f} ms")
    if side == ALONE:
        return
    growth = [sizes[size] - alone[size] for size in sizes]
    measured("a small message and one of 1 MB grow by", side, f"{growth[0]} and {growth[1]} bytes")
    differ = [large - small for small, large in zip(*spans.values(), strict=False)]
    grow = " and ".join(map(str, differ)) or "none arrived:"
    measured("publish and process span grow by", side, f"{grow} bytes")
    if side == OURS:
        assert [len(each) for each in spans.values()] == [2, 2]
        assert max(map(abs, differ)) < 32  # digits of times
        assert max(growth) < 300
        assert abs(growth[0] - growth[1]) < 16


def waiting(url: str) -> int:
    """Return the bytes of all messages that wait in a Redis."""
    with redis.Redis.from_url(url) as broker:
        return sum(map(len, broker.lrange("celery", 0, -1)))


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


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("many-names")
def test_names_without_end_have_an_end_in_series(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    memory = []
    with sides.worker(tmp_path, environ, *sides.QUIET, app="contents_app") as worker:
        for flood in range(2):
            sides.program(environ, "many_names.py", *map(str, (flood, NAMES, KEYS)))
            for number in range(KEYS):
                route = {"exchange": "", "routing_key": f"nobody-wrote-{flood}-{number}"}
                Stranger(redis_url).send({}, task="quick", route=route)
            sides.drained(redis_url)
            memory.append(psutil.Process(worker.process.pid).memory_info().rss / 2**20)
        assert worker.stop() == 0
    published = [one for one in harness.spans(receiver) if one.span.kind == PRODUCER]
    sent = 2 * (NAMES + KEYS)
    measured("publish spans that arrived", side, f"{len(published):,} of {sent:,}")
    if side == OURS:
        sent_series = harness.points(receiver, "messaging.client.sent.messages")
        publisher = [one for one in sent_series if one.instance == sent_series[0].instance]
        names = {one.attributes["celery.task.name"] for one in publisher}
        queues = {one.attributes["messaging.destination.name"] for one in publisher}
        counted = sum(one.value for one in sent_series)
        consumed = harness.points(receiver, "messaging.client.consumed.messages")
        outcomes = harness.points(receiver, "celery.task.outcomes")
        unknown = harness.total(
            receiver, "celery.task.outcomes",
            celery__task__name="_OTHER", celery__task__state="unknown",
        )  # fmt: skip
        overflows = harness.total(receiver, "otel_celery.attribute.overflows")
        more = memory[1] - memory[0]
        measured("messages counted as sent", side, f"{counted:,.0f} of {sent:,}")
        measured("messages with an outcome", side, f"{sum(one.value for one in outcomes):,.0f}")
        measured("task names, queues of a publisher's series", side, f"{len(names)}, {len(queues)}")
        both = f"{len(consumed)}, {len(outcomes)}"
        measured("series of messages consumed, of outcomes", side, both)
        measured("names that found no place", side, f"{overflows:,.0f}")
        measured("memory that a second such flood takes", side, f"{more:+.1f} MiB")
        assert len(published) == counted == sent
        assert (len(names), len(queues), len(consumed)) == (201, 51, 51)
        assert sum(one.value for one in consumed) == sent
        assert sum(one.value for one in outcomes) == sent
        assert (unknown, overflows > 0, more < 64) == (2 * NAMES, True, True)
