"""Which span does a fact become?"""

from __future__ import annotations

from typing import Any

import pytest

from otel_celery import conventions as c
from otel_celery.envelope import NO_PARENT, Trace, told_by
from otel_celery.facts import Broker, Due, Eager, Failure
from otel_celery.headers import read_headers
from otel_celery.span import CONSUMER, ERROR, INTERNAL, PRODUCER, UNSET, Event, FinishedSpan, Link
from otel_celery.spans import (
    Identity,
    Notes,
    beat_span,
    eager_span,
    process_span,
    publish_span,
)
from tests.unit.stand_ins import BAD, NS, OWN, SENDER, SENT, delivery, ended, published

TRACE_ID, SPAN_ID, PARENT_ID = int("ab" * 16, 16), int(OWN.span_id, 16), int("cd" * 8, 16)
SILENT = Notes()
WORKER = Identity("w@host", "prefork")
MESSAGE = {
    "messaging.system": "redis",
    "messaging.destination.name": "mail",
    "messaging.message.id": "id-1",
    "celery.task.name": "shop.pay",
    "server.address": "broker.example",
    "server.port": 6379,
}
PUBLISH = {**MESSAGE, "messaging.operation.name": "publish", "messaging.operation.type": "send"}
PROCESS = {
    **MESSAGE,
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "celery.worker.name": "w@host",
    "celery.worker.pool.type": "prefork",
}
RAN = {"process.pid": 4242, "celery.task.prefetch_wait": 1.0}
STARTED = (SENT + 2) * NS
LATER = Trace("12" * 16, "34" * 8, False, "vendor=1")


def spoken(of: Any, *said: Any, notes: Notes = SILENT, wait: float | None = None, **more: Any):
    return process_span(ended(of, *said, **more), notes, WORKER, wait)


def told(failure: Failure, end_ns: int) -> Event:
    return Event(
        "exception",
        end_ns,
        {"exception.type": failure.qualified, "exception.message": failure.message},
    )


def test_a_delivery_that_ran_becomes_a_consumer_span():
    assert spoken(delivery(), wait=2.0) == FinishedSpan(
        "process shop.pay",
        CONSUMER,
        TRACE_ID,
        SPAN_ID,
        PARENT_ID,
        STARTED,
        STARTED + 3 * NS,
        {**PROCESS, **RAN, "celery.task.state": "success", "celery.task.queue_wait": 2.0},
        parent_remote=True,
    )


@pytest.mark.parametrize(
    ("state", "failure", "status", "description"),
    [
        pytest.param("failure", BAD, ERROR, "KeyError: 'x'", id="failure"),
        pytest.param("failure", BAD._replace(message=""), ERROR, "KeyError", id="no-message"),
        pytest.param("timeout", BAD, ERROR, "KeyError: 'x'", id="timeout"),
        pytest.param("lost", BAD, ERROR, "KeyError: 'x'", id="lost"),
        pytest.param("retry", BAD, UNSET, "", id="retry"),
    ],
)
def test_an_exception_is_told_with_the_end(
    state: str, failure: Failure, status: int, description: str
):
    """A retry tells its cause, and is no error."""
    span = spoken(delivery(), state, failure, error=status == ERROR)
    assert (span.status, span.description, span.events) == (
        status,
        description,
        (told(failure, STARTED + 3 * NS),),
    )
    assert span.attributes == {
        **PROCESS,
        **RAN,
        "celery.task.state": state,
        "error.type": "KeyError",
    }


def test_an_expected_failure_is_no_error():
    """So that alerts can leave it out; the exception stands there."""
    span = spoken(delivery(), "failure", BAD, error=False, expected=True)
    assert (span.status, span.description, len(span.events)) == (UNSET, "", 1)
    assert span.attributes["celery.task.expected"] is True


@pytest.mark.parametrize("state", ["ignored", "rejected", "requeued", "revoked", "expired"])
def test_what_is_no_failure_tells_no_exception(state: str):
    """Celery's own exceptions are not the user's."""
    span = spoken(delivery(), state, BAD, error=False)
    assert (span.status, span.description, span.events) == (UNSET, "", ())


def test_an_error_without_an_exception_says_its_class():
    span = spoken(delivery(ran=None), "unknown", error=True, error_type="NotRegistered")
    assert (span.status, span.description, span.events) == (ERROR, "NotRegistered", ())


def test_a_delivery_that_never_began_has_no_length():
    """And nothing that only a run could tell."""
    span = spoken(delivery(ran=None), "revoked")
    assert (span.start_ns, span.end_ns) == ((SENT + 1) * NS, (SENT + 1) * NS)
    assert span.attributes == {**PROCESS, "celery.task.state": "revoked"}


def test_notes_are_carried_and_tell_the_end():
    span = spoken(delivery(), notes=Notes(b"noted", 51 * NS))
    assert (span.notes, span.end_ns) == (b"noted", STARTED + NS)


def test_a_clock_that_was_set_back_makes_no_span_end_before_it_starts():
    span = spoken(delivery(), notes=Notes(b"", 1))
    assert (span.start_ns, span.end_ns) == (STARTED, STARTED)


def test_time_until_the_eta_is_no_prefetch_wait():
    span = spoken(delivery(due_at=SENT + 1.75))
    assert span.attributes["celery.task.prefetch_wait"] == 0.25


def test_a_redelivery_says_so():
    assert spoken(delivery(redelivered=True)).attributes["celery.task.redelivered"] is True


def test_what_the_sampler_adds_stands_on_the_span():
    assert spoken(delivery(attributes={"sampled.by": "rule"})).attributes["sampled.by"] == "rule"


@pytest.mark.parametrize(
    ("parent", "link", "parent_id", "links"),
    [
        pytest.param(None, None, 0, (), id="a-root"),
        pytest.param(
            None,
            LATER,
            0,
            (Link(int("12" * 16, 16), int("34" * 8, 16), 0, "vendor=1"),),
            id="a-link-to-the-publish",
        ),
        pytest.param(SENDER, None, PARENT_ID, (), id="a-child-of-the-publish"),
    ],
)
def test_where_a_process_span_belongs(
    parent: Trace | None, link: Trace | None, parent_id: int, links: tuple[Link, ...]
):
    span = spoken(delivery(parent=parent, link=link))
    assert (span.parent_id, span.links) == (parent_id, links)


def test_a_trace_state_is_carried():
    assert spoken(delivery(own=OWN._replace(state="vendor=1"))).trace_state == "vendor=1"


def test_a_publish_becomes_a_producer_span():
    fact = published(parent_id=OWN.span_id, link=LATER, told=told_by({"retries": 1}))
    assert publish_span(fact) == FinishedSpan(
        "publish shop.pay",
        PRODUCER,
        TRACE_ID,
        PARENT_ID,
        SPAN_ID,
        SENT * NS,
        SENT * NS + 2_000_000,
        {**PUBLISH, "celery.task.retries": 1},
        links=(Link(int("12" * 16, 16), int("34" * 8, 16), 0, "vendor=1"),),
    )


def test_a_publish_that_failed_is_an_error():
    span = publish_span(published(failure=BAD))
    assert (span.status, span.description) == (ERROR, "KeyError: 'x'")
    assert span.events == (told(BAD, span.end_ns),)
    assert span.attributes == {**PUBLISH, "error.type": "KeyError"}


def test_a_broker_that_is_not_on_a_network_has_no_address():
    span = publish_span(published(broker=Broker("memory", "", 0)))
    assert span.attributes == {
        key: "memory" if key == "messaging.system" else value
        for key, value in PUBLISH.items()
        if not key.startswith("server.")
    }


@pytest.mark.parametrize(
    ("state", "failure", "expected", "status", "more"),
    [
        pytest.param("success", None, False, UNSET, {}, id="success"),
        pytest.param("failure", BAD, False, ERROR, {"error.type": "KeyError"}, id="failure"),
        pytest.param("retry", BAD, False, UNSET, {"error.type": "KeyError"}, id="retry"),
        pytest.param(
            "failure",
            BAD,
            True,
            UNSET,
            {"error.type": "KeyError", "celery.task.expected": True},
            id="expected",
        ),
    ],
)
def test_a_task_that_ran_in_its_caller_becomes_an_internal_span(
    state: str, failure: Failure | None, expected: bool, status: int, more: dict[str, Any]
):
    fact = Eager("shop.pay", "id", OWN, SENDER.span_id, 5, 6, state, failure, expected, b"noted")
    assert eager_span(fact) == FinishedSpan(
        "process shop.pay",
        INTERNAL,
        TRACE_ID,
        SPAN_ID,
        PARENT_ID,
        5,
        11,
        {
            "celery.task.name": "shop.pay",
            "celery.task.state": state,
            "celery.task.eager": True,
            **more,
        },
        status,
        "KeyError: 'x'" if status == ERROR else "",
        (told(failure, 11),) if failure else (),
        notes=b"noted",
    )


@pytest.mark.parametrize(
    ("lateness", "failure", "attributes"),
    [
        pytest.param(0.5, None, {"celery.beat.lateness": 0.5}, id="late"),
        pytest.param(None, None, {}, id="first-run"),
        pytest.param(None, BAD, {"error.type": "KeyError"}, id="could-not-be-sent"),
    ],
)
def test_a_due_entry_becomes_a_root(
    lateness: float | None, failure: Failure | None, attributes: dict[str, Any]
):
    assert beat_span(Due("nightly", OWN, 5, 6, lateness, failure)) == FinishedSpan(
        "beat nightly",
        INTERNAL,
        TRACE_ID,
        SPAN_ID,
        int(NO_PARENT, 16),
        5,
        11,
        {"celery.beat.entry.name": "nightly", **attributes},
        ERROR if failure else UNSET,
        "KeyError: 'x'" if failure else "",
        (told(failure, 11),) if failure else (),
    )


def test_a_long_exception_is_cut_where_it_says_least():
    """The end of a stack trace tells most, and the beginning of a message."""
    failure = Failure("E", "m.E", "m" * 5000 + "end", "begin" + "t" * 40_000 + "end")
    ((_, _, attributes),) = publish_span(published(failure=failure)).events
    message = attributes["exception.message"]
    trace = attributes["exception.stacktrace"]
    assert (message, len(trace), trace[:2], trace[-4:]) == (
        "m" * 4095 + "…",
        32 * 1024,
        "…t",
        "tend",
    )


def test_no_credential_leaves_in_an_exception():
    secret = "amqp://me:secret@host/v refused"
    span = publish_span(published(failure=Failure("E", "m.E", secret, f"Traceback: {secret}")))
    ((_, _, attributes),) = span.events
    assert attributes == {
        "exception.type": "m.E",
        "exception.message": "amqp://***@host/v refused",
        "exception.stacktrace": "Traceback: amqp://***@host/v refused",
    }
    assert span.description == "E: amqp://***@host/v refused"


def test_every_key_of_a_span_stands_in_the_catalogue():
    """A catalogue row per key, from which docs and the reserved keys come."""
    of = delivery(redelivered=True)
    headers = {"retries": 1, "root_id": "root", "timelimit": [2, 1], "argsrepr": "()"}
    read_headers(of, {**headers, "eta": "2030-01-01", "delivery_info": {"priority": 5}}, ("args",))
    keys = set(spoken(of, "failure", BAD, wait=1.0, expected=True).attributes)
    assert keys <= set(c.SPAN_ATTRIBUTES["process"])
    assert set(publish_span(published(failure=BAD)).attributes) <= set(c.SPAN_ATTRIBUTES["publish"])
