"""What becomes of messages that strangers wrote, or that carry headers of others?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import redis

from otel_celery.conventions import MESSAGE_HEADERS
from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, CONTRIB, OURS, Side
from tests.faults.strangers import (
    BAGGAGE,
    GOOD,
    ODD_WORDS,
    ROUTES,
    TRACE,
    TRACEPARENTS,
    TRACESTATES,
    Stranger,
    message,
)
from tests.receiver import Receiver
from tests.worker import harness
from tests.worker.harness import PRODUCER, Seen

FLOOD = 10
SERIALIZERS = ("json", "yaml", "pickle")
OURS_AND_LONG_CONTRIB = [OURS, pytest.param(CONTRIB, marks=pytest.mark.long)]


def results(url: str, ids: list[str]) -> list[Any]:
    """Return what tasks returned, as the result backend has it."""
    with redis.Redis.from_url(url.removesuffix("/0") + "/1") as backend:
        found = [backend.get(f"celery-task-meta-{id_}") for id_ in ids]
    return [one and json.loads(one)["result"] for one in found]


def ran(folder: Path, url: str, environ: dict[str, str], receiver: Receiver, number: int) -> float:
    """Let a worker take all messages that wait, so many; return the seconds of CPU it took."""
    side = cast("Side", environ["WATCHED_BY"])
    with sides.worker(folder, environ, *sides.QUIET, app="contents_app") as worker:
        main = psutil.Process(worker.process.pid)
        sides.drained(url)
        spent = sum(sum(one.cpu_times()[:2]) for one in [main, *main.children(recursive=True)])
        sides.exported(side, receiver, number)
        assert worker.stop() == 0
        return spent


def told_once(receiver: Receiver, ids: list[str]) -> list[Seen]:
    """Return the one process span of each message, which must have succeeded, without a fault."""
    found = harness.deliveries(harness.spans(receiver))
    assert {id_: len(found[id_]) for id_ in ids} == dict.fromkeys(ids, 1)
    spans = [found[id_][0] for id_ in ids]
    assert {one.attributes["celery.task.state"] for one in spans} == {"success"}
    assert harness.total(receiver, "messaging.client.consumed.messages") == len(ids)
    assert harness.total(receiver, "celery.task.outcomes") == len(ids)
    assert harness.points(receiver, "otel_celery.faults") == []
    return spans


@pytest.mark.parametrize("side", OURS_AND_LONG_CONTRIB)
@pytest.mark.fault("malformed-headers")
def test_what_is_malformed_counts_as_absent(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    stranger = Stranger(redis_url)
    forged = {form: {"traceparent": value} for form, value in TRACEPARENTS.items()}
    sent = {form: stranger.send(headers)[0] for form, headers in forged.items()}
    odd = [stranger.send({"traceparent": GOOD, **words})[0] for words in ODD_WORDS.values()]
    odd += [stranger.send({"traceparent": GOOD}, route=route)[0] for route in ROUTES.values()]
    every = [*sent.values(), *odd]
    environ = sides.environment(side, redis_url, receiver)
    ran(tmp_path, redis_url, environ, receiver, len(every))
    found = harness.deliveries(harness.spans(receiver))
    spans = [one for id_ in every for one in found[id_]]
    measured("process spans that arrived", side, f"{len(spans)} of {len(every)}")
    largest = max((one.span.ByteSize() for one in spans), default=0)
    measured("largest of these spans", side, f"{largest:,} bytes")
    if side == OURS:
        told_once(receiver, every)
        contexts = {form: (found[id_][0].trace, found[id_][0].parent) for form, id_ in sent.items()}
        assert {form for form, (trace, _) in contexts.items() if trace == TRACE} == set()
        assert {parent for _, parent in contexts.values()} == {""}
        assert {found[id_][0].trace for id_ in odd} == {TRACE}
        assert largest < 4096


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("hostile-state-and-baggage")
def test_hostile_state_and_baggage_cost_bounded_work(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    stranger = Stranger(redis_url)
    states = [
        id_
        for state in TRACESTATES.values()
        for id_ in stranger.send({"traceparent": GOOD, "tracestate": state}, number=FLOOD)
    ]
    baggage = [
        id_
        for value in BAGGAGE.values()
        for id_ in stranger.send({"traceparent": GOOD, "baggage": value}, number=FLOOD)
    ]
    both = {"OTEL_PROPAGATORS": "tracecontext,baggage"}
    every = states + baggage
    environ = sides.environment(side, redis_url, receiver, **both)
    spent = ran(tmp_path, redis_url, environ, receiver, len(every))
    measured(
        f"seconds of CPU for {len(every)} messages, start and stop included", side, f"{spent:.1f}"
    )
    if side == ALONE:
        return
    found = harness.deliveries(harness.spans(receiver))
    spans = [one for id_ in every for one in found[id_]]
    measured("process spans that arrived", side, f"{len(spans)} of {len(every)}")
    measured(
        "longest tracestate told", side, f"{max(len(one.span.trace_state) for one in spans):,}"
    )
    if side == OURS:
        told_once(receiver, every)
        assert {one.trace for one in spans} == {TRACE}
        assert max(len(one.span.trace_state) for one in spans) <= 512
        assert max(one.span.ByteSize() for one in spans) < 4096
        kept = [len(json.dumps(one["baggage"])) for one in results(redis_url, baggage)]
        assert max(kept) <= 8192


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("baggage-from-strangers")
def test_baggage_is_taken_from_nobody_unless_asked_for(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    sent = [
        id_ for value in BAGGAGE.values() for id_ in Stranger(redis_url).send({"baggage": value})
    ]
    environ = sides.environment(side, redis_url, receiver)
    ran(tmp_path, redis_url, environ, receiver, len(sent))
    taken = sum(bool(one["baggage"]) for one in results(redis_url, sent))
    exported = sum(b"admin" in request.body for request in receiver.received)
    measured("tasks that ran with baggage of a stranger", side, f"{taken} of {len(sent)}")
    measured("exports that hold it", side, exported)
    if side == OURS:
        told_once(receiver, sent)
        assert (taken, exported) == (0, 0)


OWN_HEADERS: tuple[dict[str, Any], ...] = (
    {"x-shop": "1", "nested": {"a": [1, None]}},
    {"baggage": "tenant=a"},
    {"sentry-trace": "mine", "x-datadog-trace-id": "1"},
    {"traceparent": "my own"},
    {"tracestate": "mine=1"},
    {"otel-celery-sent": "my own", "otel-celery-origin": "my own"},
    {"traceparent": GOOD, "tracestate": "mine=1"},
)


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("header-collisions")
def test_headers_of_the_user_arrive(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    orders = [["carried", [], {"headers": headers}] for headers in OWN_HEADERS]
    sent = sides.program(environ, "contents_app.py", json.dumps(orders)).split()
    ran(tmp_path, redis_url, environ, receiver, len(sent))
    arrived = [one["headers"] or {} for one in results(redis_url, sent)]
    given = [(key, value) for headers in OWN_HEADERS for key, value in headers.items()]
    kept = [
        (key, value)
        for headers, found in zip(OWN_HEADERS, arrived, strict=True)
        for key, value in headers.items()
        if found.get(key) == value
    ]
    measured("headers that arrived as they were given", side, f"{len(kept)} of {len(given)}")
    if side == OURS:
        *replaced, followed = told_once(receiver, sent)
        assert {key for key, value in given if (key, value) not in kept} <= MESSAGE_HEADERS
        assert len([pair for pair in given if pair[0] not in MESSAGE_HEADERS]) == 5
        assert followed.trace == TRACE
        assert TRACE not in {one.trace for one in replaced}


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("other-producers")
def test_messages_of_any_producer_are_told(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(
        side, redis_url, receiver, C_FORCE_ROOT="1", ACCEPT=" ".join(SERIALIZERS)
    )
    orders = [["carried", [], {"serializer": name}] for name in SERIALIZERS]
    ours = sides.program(environ, "contents_app.py", json.dumps(orders)).split()
    old = sides.program(environ | {"PROTOCOL": "1"}, "contents_app.py", json.dumps(orders)).split()
    stranger = Stranger(redis_url)
    theirs = stranger.send({"traceparent": GOOD}) + stranger.send({})
    bare = {"task": "carried", "args": [], "kwargs": {}, "retries": 0, "eta": None}
    with redis.Redis.from_url(redis_url) as broker:
        for number, headers in enumerate(({}, None, {"traceparent": GOOD})):
            theirs.append(f"of-protocol-1-{number}")
            broker.lpush("celery", message(headers, {**bare, "id": theirs[-1]}, theirs[-1]))
    every = [*ours, *old, *theirs]
    ran(tmp_path, redis_url, environ, receiver, len(every))
    seen = harness.spans(receiver)
    found = harness.deliveries(seen)
    published = {one.id for one in seen if one.span.kind == PRODUCER}
    joined = [id_ for id_ in ours + old if any(one.parent in published for one in found[id_])]
    measured(
        "process spans that arrived",
        side,
        f"{sum(len(found[one]) for one in every)} of {len(every)}",
    )
    measured(
        "of Celery's producers: child of their publish span",
        side,
        f"{len(joined)} of {len(ours + old)}",
    )
    if side == OURS:
        told_once(receiver, every)
        assert len(joined) == len(ours + old)
        waits = {id_: found[id_][0].attributes.get("celery.task.queue_wait") for id_ in every}
        assert [id_ for id_, wait in waits.items() if wait is None] == theirs
        assert [found[id_][0].trace == TRACE for id_ in theirs] == [True, False, False, False, True]
