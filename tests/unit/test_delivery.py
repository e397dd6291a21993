"""Main: which deliveries does this worker hold, and what became of each?"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from opentelemetry.trace import SpanKind

from otel_celery import conventions as c
from otel_celery.delivery import Deliveries
from otel_celery.envelope import Trace
from otel_celery.facts import Delivery, Ended, Failure
from otel_celery.outcome import HowEnded
from otel_celery.sampling import Decision
from tests.unit.stand_ins import SENDER, Asked, Voice

PROTOCOL_1 = {"headers": {c.TRACEPARENT: SENDER.header()}}


@pytest.fixture
def arrive(app: Celery, deliveries: Deliveries):
    """Return a function that receives a message with these headers."""
    return lambda headers: deliveries.arrive(app, headers, "shop.pay", "id-1", "", "mail")


def ended(voice: Voice) -> list[Ended]:
    return [fact for fact in voice.told if isinstance(fact, Ended)]


def states(voice: Voice) -> list[str]:
    return [fact.state for fact in ended(voice)]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({c.TRACEPARENT: SENDER.header(), c.TRACESTATE: "a=1"}, id="protocol-2"),
        pytest.param(
            {"headers": {c.TRACEPARENT: SENDER.header(), c.TRACESTATE: "a=1"}}, id="in-the-body"
        ),
    ],
)
@pytest.mark.parametrize(
    ("structure", "parent", "link"),
    [
        pytest.param("parent", SENDER._replace(state="a=1"), None, id="parent"),
        pytest.param("link", None, SENDER._replace(state="a=1"), id="link"),
        pytest.param("ignore", None, None, id="ignore"),
    ],
)
def test_what_becomes_of_the_context_in_a_message(
    arrive: Any,
    voice: Voice,
    headers: dict[str, Any],
    structure: str,
    parent: Trace | None,
    link: Trace | None,
):
    voice.structure = structure
    delivery = arrive(headers)
    assert (delivery.parent, delivery.link) == (parent, link)
    assert (delivery.own.trace_id == SENDER.trace_id) == (structure == "parent")
    assert delivery.own.span_id != SENDER.span_id


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({c.TRACEPARENT: "junk"}, id="malformed"),
        pytest.param({c.TRACEPARENT: None}, id="empty"),
        pytest.param({"headers": "text"}, id="headers-are-text"),
        pytest.param({"headers": [1]}, id="headers-are-a-list"),
        pytest.param({"headers": {}}, id="headers-are-empty"),
        pytest.param({"headers": None}, id="headers-are-none"),
    ],
)
def test_a_message_without_a_context_begins_a_trace(arrive: Any, headers: dict[str, Any]):
    first, second = arrive(headers), arrive(headers)
    assert (first.parent, first.link, first.own.sampled) == (None, None, True)
    assert first.own.trace_id != second.own.trace_id


@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "not-sampled"])
def test_the_parent_decides_whether_a_span_is_kept(arrive: Any, sampled: bool):
    headers = {c.TRACEPARENT: SENDER._replace(sampled=sampled).header()}
    assert arrive(headers).own.sampled is sampled


def test_a_sampler_is_asked_with_what_is_known_and_may_add(arrive: Any, voice: Voice, app: Celery):
    asked: list[Any] = []

    def decide(*told: Any) -> Decision:
        asked.append(told)
        return Decision(False, "s=1", {"sampled.by": "rule"})

    voice.decide = Asked(decide)
    delivery = arrive({c.TRACEPARENT: SENDER.header()})
    known = {c.MESSAGING_SYSTEM: "memory", c.QUEUE: "mail", c.TASK_NAME: "shop.pay"}
    assert asked == [(SENDER, SENDER.trace_id, "process shop.pay", SpanKind.CONSUMER, known)]
    assert (delivery.own.sampled, delivery.own.state, delivery.attributes) == (
        False,
        "s=1",
        {"sampled.by": "rule"},
    )


@pytest.mark.parametrize(
    ("headers", "info", "name", "id_", "queue"),
    [
        pytest.param(
            {"task": "shop.gone", "id": "id-1"},
            {"exchange": "", "routing_key": "mail", "redelivered": True},
            "shop.gone",
            "id-1",
            "mail",
            id="unknown-task",
        ),
        pytest.param(None, None, "_OTHER", "", "", id="nothing-at-all"),
        pytest.param({"task": None, "id": 7}, {}, "_OTHER", "7", "", id="nonsense"),
        pytest.param(
            {"task": ["shop.pay"], "id": {"id": 1}},
            {"exchange": ["a"], "routing_key": {"b": 1}},
            "_OTHER",
            "",
            "['a']",
            id="nested",
        ),
        pytest.param(
            {"task": "x" * 1_000_000, "id": "y" * 1_000_000},
            {"exchange": "", "routing_key": "z" * 1_000_000},
            "x" * 255,
            "y" * 255,
            "z" * 255,
            id="huge",
        ),
    ],
)
def test_a_message_that_becomes_no_request_is_received_and_ended(
    app: Celery,
    deliveries: Deliveries,
    voice: Voice,
    headers: Any,
    info: Any,
    name: str,
    id_: str,
    queue: str,
):
    message = SimpleNamespace(headers=headers, delivery_info=info)
    deliveries.refuse(app, message, HowEnded.INVALID, "DecodeError")
    delivery, last = voice.told
    assert (delivery.name, delivery.id, delivery.queue or "", delivery.redelivered) == (
        name,
        id_,
        queue,
        bool(info and info.get("redelivered")),
    )
    assert delivery.headers == (headers or {})
    assert last._replace(end_ns=0, failure=None) == Ended(
        delivery, "invalid", "DecodeError", True, False, 0, 0, None
    )
    assert last.failure() == Failure("DecodeError", "DecodeError", "", "")
    assert voice.guard.faults == {}


def test_a_delivery_that_never_began_has_no_end_on_the_monotonic_clock(
    arrive: Any, deliveries: Deliveries, voice: Voice
):
    deliveries.end(arrive({}), HowEnded.REVOKED, time.monotonic_ns())
    assert [(fact.state, fact.end_mono) for fact in ended(voice)] == [("revoked", 0)]


def test_only_an_error_carries_an_exception(arrive: Any, deliveries: Deliveries, voice: Voice):
    """Else every delivery would keep what its task raised."""
    for how in (HowEnded.IGNORE, HowEnded.RAISED):
        failure = Failure("E", "m.E", "", "")
        deliveries.end(arrive({}), how, 0, None, False, lambda told=failure: told)
    assert [fact.failure is not None for fact in ended(voice)] == [False, True]


def began(delivery: Delivery) -> Delivery:
    delivery.start_mono = time.monotonic_ns()
    return delivery


def handed(delivery: Delivery) -> Delivery:
    delivery.handed = True
    return delivery


def noted(delivery: Delivery, reason: str) -> Delivery:
    began(delivery).reason = reason
    return delivery


@pytest.mark.parametrize(
    ("how", "lost", "stopped"),
    [
        pytest.param(lambda d: d, ["returned"], ["returned"], id="in-memory"),
        pytest.param(handed, [], ["returned"], id="handed-to-the-pool"),
        pytest.param(began, [], ["lost"], id="running"),
        pytest.param(lambda d: noted(d, "terminated"), [], ["revoked"], id="being-terminated"),
        pytest.param(lambda d: noted(d, "cancelled"), [], ["retry"], id="being-cancelled"),
        pytest.param(lambda d: noted(d, "requeued"), [], ["requeued"], id="going-back"),
    ],
)
def test_a_delivery_that_celery_drops_without_a_word_gets_one(
    arrive: Any, deliveries: Deliveries, voice: Voice, how: Any, lost: list[str], stopped: list[str]
):
    """At a lost connection what runs goes on; at a stop nobody else will speak."""
    how(arrive({}))
    deliveries.given_back(stopping=False, pool_drops=False)
    assert states(voice) == lost
    deliveries.given_back(stopping=True)
    deliveries.given_back(stopping=True)
    assert states(voice) == stopped


def test_a_pool_that_forgets_what_it_has_not_begun_gives_it_back(
    arrive: Any, deliveries: Deliveries, voice: Voice
):
    handed(arrive({}))
    deliveries.given_back(stopping=False, pool_drops=True)
    assert states(voice) == ["returned"]


def test_what_has_ended_is_let_go(arrive: Any, deliveries: Deliveries, voice: Voice):
    """A worker lives for months."""
    for _ in range(3):
        deliveries.end(arrive({}), HowEnded.REVOKED)
    assert deliveries._open == set()
    deliveries.given_back(stopping=True)
    assert states(voice) == ["revoked"] * 3


def test_a_settlement_while_celery_decides_is_not_the_last_word(
    arrive: Any, deliveries: Deliveries, voice: Voice
):
    """What it decides is said when it is done."""
    delivery = arrive({})
    delivery.settling = True
    deliveries.never_began(delivery, HowEnded.DELEGATED)
    assert states(voice) == []


def test_a_delivery_runs_from_its_start_to_its_end(arrive: Any, deliveries: Deliveries):
    delivery = arrive({})
    assert not deliveries.running
    began(delivery)
    assert deliveries.running
    deliveries.end(delivery, HowEnded.RETURNED_VALUE)
    assert not deliveries.running
