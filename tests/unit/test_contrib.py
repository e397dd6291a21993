"""What does contrib call what we tell? That the real one does is for tests/worker/test_names.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_celery import conventions as c
from otel_celery.contrib import CONTRIB, DUP, RENAMED, named, told_by
from otel_celery.facts import Due, Eager
from otel_celery.headers import read_headers
from otel_celery.otlp import encode_span
from otel_celery.span import CONSUMER, ERROR, INTERNAL, PRODUCER, FinishedSpan
from otel_celery.spans import Identity, Notes, beat_span, eager_span, process_span, publish_span
from tests.unit.stand_ins import BAD, NS, OWN, SENT, delivery, ended, published

WORKER = Identity("w@host", "prefork")
THEIRS = {
    "celery.action": "run",
    "celery.task_name": "shop.pay",
    "celery.state": "SUCCESS",
    "celery.hostname": "w@host",
    "messaging.destination": "mail",
}
OURS = {
    "messaging.operation.name": "process",
    "celery.task.name": "shop.pay",
    "celery.task.state": "success",
    "celery.worker.name": "w@host",
    "messaging.destination.name": "mail",
}
BOTH = {
    "messaging.system": "redis",
    "messaging.operation.type": "process",
    "messaging.message.id": "id-1",
    "server.address": "broker.example",
    "server.port": 6379,
    "celery.worker.pool.type": "prefork",
    "process.pid": 4242,
    "celery.task.prefetch_wait": 1.0,
}
RAN = process_span(ended(delivery()), Notes(), WORKER, None)


def said(state: str, names: str = CONTRIB, **more: Any) -> FinishedSpan:
    return named(process_span(ended(delivery(), state, **more), Notes(), WORKER, None), names)


def eager(state: str = "success") -> FinishedSpan:
    fact = Eager("shop.pay", "id-1", OWN, "0" * 16, SENT * NS, NS, state, None, False, b"")
    return eager_span(fact)


def test_a_run_has_contribs_names_in_place_of_ours():
    """What contrib has no name for stays."""
    expected = RAN._replace(name="run/shop.pay", attributes={**BOTH, **THEIRS}, events=[])
    assert named(RAN, CONTRIB) == expected


def test_doubled_names_stand_beside_ours():
    """A span has one name only, which is ours."""
    assert named(RAN, DUP) == RAN._replace(attributes={**BOTH, **OURS, **THEIRS})


def test_a_publish_says_less_than_a_run():
    """Contrib tells retries, eta and expires of the run only."""
    added = {c.TASK_RETRIES: 1, c.TASK_ETA: "2100", c.TASK_EXPIRES: "2101", c.TASK_PRIORITY: 3}
    span = named(publish_span(published(added=added)), CONTRIB)
    assert (span.name, span.kind, span.attributes) == (
        "apply_async/shop.pay",
        PRODUCER,
        {
            "celery.action": "apply_async",
            "celery.task_name": "shop.pay",
            "messaging.destination": "mail",
            "messaging.destination_kind": "queue",
            "messaging.message.id": "id-1",
            "messaging.system": "redis",
            "messaging.operation.type": "send",
            "server.address": "broker.example",
            "server.port": 6379,
            "celery.task.priority": 3,
        },
    )


@pytest.mark.parametrize(
    ("state", "celerys"),
    [
        pytest.param(state, celerys, id=state)
        for state, celerys in {
            "success": "SUCCESS", "failure": "FAILURE", "retry": "RETRY", "ignored": "IGNORED",
            "rejected": "REJECTED", "requeued": "REJECTED", "revoked": "REVOKED",
            "expired": "REVOKED", "timeout": "FAILURE", "lost": "FAILURE", "unknown": "FAILURE",
            "invalid": "FAILURE",
        }.items()
    ],
)  # fmt: skip
def test_a_state_is_what_celery_calls_it(state: str, celerys: str):
    assert said(state).attributes["celery.state"] == celerys
    doubled = said(state, DUP).attributes
    assert (doubled["celery.state"], doubled["celery.task.state"]) == (celerys, state)


def test_a_failure_is_told_as_the_sdk_records_it():
    """The description lacks the class, built-in classes their module."""
    span = said("failure", failure=BAD)
    (event,) = span.events
    assert (span.status, span.description, event.attributes) == (
        ERROR,
        "'x'",
        {"exception.type": "KeyError", "exception.message": "'x'", "exception.escaped": "False"},
    )
    assert said("failure", DUP, failure=BAD).description == "KeyError: 'x'"


def test_an_error_without_an_exception_keeps_its_description():
    assert said("lost", error=True, error_type="WorkerLostError").description == "WorkerLostError"


@pytest.mark.parametrize("names", [CONTRIB, DUP])
def test_a_retry_has_a_reason(names: str):
    span = said("retry", names, failure=BAD, error=False)
    assert span.attributes["celery.retry.reason"] == "KeyError: 'x'"
    assert "celery.retry.reason" not in said("retry", names).attributes


def test_a_task_that_ran_in_its_caller_is_a_run_too():
    span = named(eager(), CONTRIB)
    assert (span.name, span.kind) == ("run/shop.pay", CONSUMER)
    assert span.attributes == {
        "celery.action": "run",
        "celery.task_name": "shop.pay",
        "celery.state": "SUCCESS",
        "celery.task.eager": True,
    }
    assert (named(eager(), DUP).name, named(eager(), DUP).kind) == ("process shop.pay", INTERNAL)


@pytest.mark.parametrize("names", [CONTRIB, DUP])
def test_contrib_knows_nothing_of_beat(names: str):
    span = beat_span(Due("nightly", OWN, SENT * NS, NS, 0.5, None))
    assert named(span, names) is span


def test_a_message_says_more_in_contribs_names():
    """Our handle, which travels in `delivery_info`, is not shown."""
    assert told_by(
        {
            "origin": "gen1@web",
            "correlation_id": "id-1",
            "reply_to": "answers",
            "timelimit": [60, None],
            "delivery_info": {"exchange": "", "routing_key": "urgent", c.HANDLE: ("00", "")},
        }
    ) == {
        "celery.hostname": "gen1@web",
        "messaging.conversation_id": "id-1",
        "celery.reply_to": "answers",
        "celery.timelimit": ["60", ""],
        "celery.delivery_info": "{'exchange': '', 'routing_key': 'urgent'}",
        "messaging.destination": "urgent",
    }


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        pytest.param((60, 50), {"celery.timelimit": [60, 50]}, id="both"),
        pytest.param((None, 0.5), {"celery.timelimit": ["", "0.5"]}, id="soft"),
        pytest.param([None, None], {}, id="none"),
        pytest.param([60, "x" * 9999], {}, id="no-number"),
        pytest.param([1e300, None], {}, id="too-long"),
        pytest.param([1] * 99, {}, id="too-many"),
        pytest.param("60", {}, id="text"),
    ],
)
def test_only_limits_that_were_asked_for_are_told(limits: object, told: dict[str, Any]):
    assert told_by({"timelimit": limits}) == told


def test_nonsense_in_a_message_is_left_out():
    """Headers are untrusted."""
    assert told_by({"origin": [], "reply_to": {}, "delivery_info": "no", "timelimit": 3}) == {}
    told = told_by({"delivery_info": {"routing_key": "x" * 9999}})
    assert {key: len(text) for key, text in told.items()} == {
        "celery.delivery_info": 1024,
        "messaging.destination": 255,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
READ = st.sampled_from(
    ["origin", "correlation_id", "reply_to", "delivery_info", "timelimit", "retries", "eta"]
)


@settings(max_examples=60)
@given(st.dictionaries(READ, JSON | st.dictionaries(st.just("routing_key"), JSON)))
def test_no_headers_make_a_span_that_cannot_be_read(headers: dict[str, Any]):
    of = delivery()
    read_headers(of, headers, (CONTRIB,))
    span = process_span(ended(of), Notes(), WORKER, None)
    for names, name in ((CONTRIB, "run/shop.pay"), (DUP, "process shop.pay")):
        found = Span.FromString(encode_span(named(span, names)))
        assert (found.name, found.dropped_attributes_count) == (name, 0)
        assert found.ByteSize() < 16384


def test_what_the_message_says_wins():
    """Contrib's host is the sender's; ours is there where the message names none."""
    of = delivery()
    read_headers(of, {"origin": "gen1@web", "delivery_info": {"routing_key": "urgent"}}, (CONTRIB,))
    attributes = named(process_span(ended(of), Notes(), WORKER, None), CONTRIB).attributes
    assert attributes["celery.hostname"] == "gen1@web"
    assert attributes["messaging.destination"] == "urgent"


def test_nothing_of_contrib_is_read_unless_it_was_asked_for():
    of = delivery()
    read_headers(of, {"origin": "gen1@web", "correlation_id": "id-1"}, ())
    assert of.attributes == {}


def test_each_name_that_goes_is_one_of_ours():
    known = {key for keys in c.SPAN_ATTRIBUTES.values() for key in keys}
    assert set(RENAMED) <= known
    assert not set(RENAMED.values()) & known
