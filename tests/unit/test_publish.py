"""A message leaves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from kombu import Exchange, Queue
from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace import SpanKind

from otel_celery import conventions as c
from otel_celery import publish
from otel_celery.envelope import NO_PARENT, Trace, told_by
from otel_celery.facts import Failure, Published
from otel_celery.publish import Door, current_trace
from otel_celery.sampling import Decision, context_of
from otel_celery.voice import Brokers
from tests.unit.stand_ins import SENDER, Asked, Voice, memory_app, next_message

USERS = Trace("12" * 16, "34" * 8, True)
HEX = re.compile(r"[0-9a-f]+")


@pytest.fixture
def app(voice: Voice) -> Iterator[Celery]:
    """An app whose messages leave through the door."""
    made = memory_app()
    through_door(made, voice)
    yield made
    made.close()


def through_door(app: Celery, voice: Voice) -> None:
    app.amqp.send_task_message = Door(voice, Brokers()).around(app.amqp, app.amqp.send_task_message)


@pytest.fixture
def inside() -> Iterator[Callable[[Trace], None]]:
    """Return a function that makes a span current until the test ends."""
    tokens: list[Any] = []
    yield lambda own: tokens.append(context.attach(context_of(own)))
    for token in reversed(tokens):
        context.detach(token)


def sent(app: Celery, **options: Any) -> Any:
    """Send a task and return its message."""
    app.send_task("shop.pay", **options)
    return next_message(app)


def ours(message: Any) -> dict[str, Any]:
    return {key: message.headers[key] for key in c.MESSAGE_HEADERS if key in message.headers}


def test_a_publish_is_told_with_the_context_that_its_message_carries(
    app: Celery, voice: Voice, inside: Callable[[Trace], None]
):
    inside(SENDER)
    message = sent(app, task_id="id-1", priority=3, countdown=60)
    (fact,) = voice.told
    assert fact._replace(broker=None, duration_ns=0) == Published(
        "shop.pay",
        "id-1",
        app.conf.task_default_queue,
        None,  # type: ignore[arg-type]
        Trace(SENDER.trace_id, fact.own.span_id, True),
        SENDER.span_id,
        None,
        fact.start_ns,
        0,
        None,
        told_by(message.headers),
        {c.TASK_PRIORITY: 3},
    )
    assert fact.attributes == {
        c.TASK_ETA: message.headers["eta"],
        c.TASK_ROOT_ID: "id-1",
        c.TASK_PRIORITY: 3,
    }
    assert ours(message) == {
        c.TRACEPARENT: fact.own.header(),
        c.ORIGIN: SENDER.header(),
        c.SENT: f"{fact.start_ns / 1e9:.6f}",
    }
    assert (fact.broker.system, fact.duration_ns > 0) == ("memory", True)
    assert message.properties["timestamp"] == fact.start_ns // 10**9


def test_a_publish_without_a_current_span_is_a_root(app: Celery, voice: Voice):
    message = sent(app)
    (fact,) = voice.told
    assert (fact.parent_id, fact.link) == (NO_PARENT, None)
    assert set(ours(message)) == {c.TRACEPARENT, c.SENT}


def test_the_current_span_stays_as_it_was(app: Celery, inside: Callable[[Trace], None]):
    """The caller's next span is no child of the publish."""
    inside(SENDER)
    before = trace.get_current_span()
    sent(app)
    assert trace.get_current_span() is before


def test_a_publish_that_fails_is_told_and_raises_what_it_raised(
    app: Celery, voice: Voice, inside: Callable[[Trace], None]
):
    gone = ConnectionResetError("broker gone")

    def send(*_: Any, **__: Any) -> None:
        raise gone

    door = Door(voice, Brokers()).around(app.amqp, send)
    inside(SENDER)
    before = trace.get_current_span()
    message = app.amqp.create_task_message("id-1", "shop.pay")
    with pytest.raises(ConnectionResetError) as raised:
        door(None, "shop.pay", message)
    assert raised.value is gone
    assert trace.get_current_span() is before
    (fact,) = voice.told
    assert (fact.parent_id, fact.failure) == (
        SENDER.span_id,
        Failure("ConnectionResetError", "builtins.ConnectionResetError", "broker gone", ""),
    )


@pytest.mark.parametrize(
    "alarm", [SoftTimeLimitExceeded(), SystemExit(1), KeyboardInterrupt()], ids=lambda a: repr(a)
)
def test_an_alarm_that_rings_while_a_message_leaves_goes_on(
    app: Celery, voice: Voice, alarm: BaseException
):
    """A task that publishes may be at its time limit."""

    def send(*_: Any, **__: Any) -> None:
        raise alarm

    door = Door(voice, Brokers()).around(app.amqp, send)
    with pytest.raises(type(alarm)) as raised:
        door(None, "shop.pay", app.amqp.create_task_message("id-1", "shop.pay"))
    assert raised.value is alarm
    assert [fact.failure.type for fact in voice.told] == [type(alarm).__name__]


def test_an_alarm_that_rings_while_we_prepare_passes_our_guard(app: Celery, voice: Voice):
    """It is a plain Exception, and the task's own."""

    def decide(*_: Any) -> Decision:
        raise SoftTimeLimitExceeded

    voice.decide = Asked(decide)
    with pytest.raises(SoftTimeLimitExceeded):
        app.send_task("shop.pay")
    assert (voice.told, voice.guard.faults) == ([], {})


@pytest.mark.parametrize(
    ("hook", "inner"), [("publish", "_prepare"), ("published", "_tell")], ids=["before", "after"]
)
@pytest.mark.parametrize("gone", [None, OSError("gone")], ids=["sent", "failed"])
def test_a_fault_of_ours_is_counted_and_changes_nothing(
    voice: Voice, monkeypatch: pytest.MonkeyPatch, hook: str, inner: str, gone: OSError | None
):
    def fault(*_: Any, **__: Any) -> None:
        raise RuntimeError("ours")

    def send(*told: Any, **options: Any) -> str:
        if gone is not None:
            raise gone
        assert (told[1], options["headers"]["mine"]) == ("shop.pay", 1)
        return "result"

    monkeypatch.setattr(Door, inner, fault)
    app = memory_app()
    door = Door(voice, Brokers()).around(app.amqp, send)
    message = app.amqp.create_task_message("id-1", "shop.pay")
    if gone is None:
        assert door(None, "shop.pay", message, headers={"mine": 1}) == "result"
    else:
        with pytest.raises(OSError, match="gone") as raised:
            door(None, "shop.pay", message, headers={"mine": 1})
        assert raised.value is gone
    assert voice.guard.faults == {hook: 1}


def test_headers_of_the_user_stay_as_they_are(app: Celery):
    given = {"tenant": "a", "x-b3-traceid": "1", "baggage": "mine=1"}
    message = sent(app, headers=dict(given))
    assert {key: message.headers[key] for key in given} == given


def test_a_header_of_ours_that_a_user_passes_is_written_anew(app: Celery, voice: Voice):
    """Celery copies headers into a retry: one left as it was would say the first time."""
    old = {c.SENT: "1.0", c.ORIGIN: SENDER.header(), c.TRACESTATE: "old=1"}
    message = sent(app, headers=dict(old))
    (fact,) = voice.told
    assert ours(message) == {
        c.TRACEPARENT: fact.own.header(),
        c.SENT: f"{fact.start_ns / 1e9:.6f}",
    }


@pytest.mark.parametrize(
    ("current", "parent"),
    [(None, USERS), (SENDER, SENDER)],
    ids=["no-span-is-current", "the-current-span-wins"],
)
def test_a_traceparent_of_the_user(
    app: Celery,
    voice: Voice,
    inside: Callable[[Trace], None],
    current: Trace | None,
    parent: Trace,
):
    """It becomes the parent where nothing else is one."""
    if current:
        inside(current)
    message = sent(app, headers={c.TRACEPARENT: USERS.header(), c.TRACESTATE: "a=1"})
    (fact,) = voice.told
    assert (fact.own.trace_id, fact.parent_id) == (parent.trace_id, parent.span_id)
    assert message.headers[c.TRACEPARENT] == fact.own.header()
    assert message.headers.get(c.TRACESTATE, "") == ("" if current else "a=1")


FIRST = {c.TRACEPARENT: USERS.header(), c.ORIGIN: SENDER.header(), c.SENT: "1.0"}
PROCESS = Trace(SENDER.trace_id, "56" * 8, True)


@pytest.mark.parametrize(
    ("headers", "current", "told", "origin"),
    [
        pytest.param(
            FIRST,
            PROCESS,
            (SENDER.trace_id, SENDER.span_id, PROCESS),
            SENDER.header(),
            id="beside-the-first-publish",
        ),
        pytest.param(
            {c.TRACEPARENT: USERS.header()},
            PROCESS,
            (USERS.trace_id, NO_PARENT, PROCESS),
            None,
            id="the-first-publish-was-a-root",
        ),
        pytest.param(
            FIRST,
            None,
            (SENDER.trace_id, SENDER.span_id, None),
            SENDER.header(),
            id="asked-for-by-nobody-we-know",
        ),
        pytest.param(
            {c.ORIGIN: "00-junk"},
            PROCESS,
            (PROCESS.trace_id, PROCESS.span_id, None),
            PROCESS.header(),
            id="nothing-to-go-by",
        ),
    ],
)
def test_a_retry_is_a_sibling_of_the_first_publish_and_links_to_what_asked_for_it(
    app: Celery,
    voice: Voice,
    inside: Callable[[Trace], None],
    headers: dict[str, Any],
    current: Trace | None,
    told: tuple[Any, ...],
    origin: str | None,
):
    """Attempts stand side by side, and make no staircase."""
    if current:
        inside(current)
    message = sent(app, headers=dict(headers), retries=2)
    (fact,) = voice.told
    assert (fact.own.trace_id, fact.parent_id, fact.link) == told
    assert fact.attributes[c.TASK_RETRIES] == 2
    assert message.headers.get(c.ORIGIN) == origin
    assert message.headers[c.TRACEPARENT] == fact.own.header()


def test_our_key_never_becomes_a_publish_option(app: Celery, voice: Voice):
    """With a named exchange `Task.retry` passes all of delivery_info on."""
    message = sent(app, **{c.HANDLE: ("00-x", "")})
    assert c.HANDLE not in message.headers
    assert c.HANDLE not in message.properties
    assert len(voice.told) == 1


def test_a_retry_from_a_topic_exchange_carries_nothing_of_ours_but_headers(
    app: Celery, voice: Voice
):
    """The whole way of `Task.retry`, with the delivery_info that main has written into."""
    topic = Exchange(f"topic-{app.conf.task_default_queue}", "topic")
    queue = Queue(app.conf.task_default_queue, topic, routing_key="pay.#")
    app.conf.task_queues = [queue]
    with app.connection_for_write() as connection:
        queue(connection.default_channel).declare()

    def pay() -> None:
        """Its body."""

    task = app.task(pay, shared=False, name="shop.pay")
    told = {
        "exchange": topic.name,
        "routing_key": "pay.now",
        "priority": None,
        "redelivered": False,
        c.HANDLE: (PROCESS.header(), PROCESS.state),
    }
    task.push_request(id="id-1", called_directly=False, delivery_info=told, retries=0, args=())
    task.signature_from_request(retries=1).apply_async()
    task.pop_request()
    message = next_message(app)
    assert c.HANDLE not in message.headers
    assert c.HANDLE not in message.properties
    assert set(ours(message)) == {c.TRACEPARENT, c.SENT}
    (fact,) = voice.told
    assert (fact.queue, fact.failure) == (app.conf.task_default_queue, None)


def test_a_message_of_protocol_1_is_told_as_well(app: Celery, voice: Voice):
    """Its fields stand in the body."""
    app.conf.task_protocol = 1
    message = sent(app, task_id="id-1", retries=2)
    (fact,) = voice.told
    assert (fact.id, fact.attributes) == ("id-1", {c.TASK_RETRIES: 2})
    assert message.headers[c.TRACEPARENT] == fact.own.header()
    assert not set(message.payload) & c.MESSAGE_HEADERS


def test_what_is_not_sampled_travels_and_says_so(app: Celery, voice: Voice):
    """The whole trace is kept or none of it."""
    voice.decide = Asked(lambda *_: Decision(False, "vendor=1", {"sampled.by": "rule"}))
    message = sent(app)
    (fact,) = voice.told
    assert (fact.own.sampled, fact.attributes["sampled.by"]) == (False, "rule")
    assert message.headers[c.TRACEPARENT].endswith("-00")
    assert message.headers[c.TRACESTATE] == "vendor=1"


def test_the_sampler_is_asked_with_what_is_known(app: Celery, voice: Voice):
    asked: list[Any] = []
    decide = voice.decide
    voice.decide = Asked(lambda *told: asked.append(told) or decide(*told))
    sent(app, headers={c.TRACEPARENT: USERS.header()})
    queue = app.conf.task_default_queue
    known = {c.MESSAGING_SYSTEM: "memory", c.QUEUE: queue, c.TASK_NAME: "shop.pay"}
    assert asked == [(USERS, USERS.trace_id, "publish shop.pay", SpanKind.PRODUCER, known)]


def test_baggage_travels_only_where_it_was_asked_for(app: Celery, voice: Voice):
    """It is written anew: a header of that name which a user passes is what came in."""
    token = context.attach(baggage.set_baggage("tenant", "a"))
    try:
        assert "baggage" not in sent(app).headers
        voice.baggage = W3CBaggagePropagator()
        message = sent(app, headers={"baggage": "old=1"})
    finally:
        context.detach(token)
    assert message.headers["baggage"] == "tenant=a"


@pytest.mark.parametrize(
    ("options", "queue"),
    [
        pytest.param({}, "default", id="the-default"),
        pytest.param({"queue": "mail"}, "mail", id="by-name"),
        pytest.param({"queue": Queue("mail")}, "mail", id="a-queue"),
        pytest.param(
            {"exchange": "", "routing_key": "mail"}, "default", id="no-exchange-is-the-default-too"
        ),
        pytest.param({"routing_key": "sms"}, "default", id="a-key-alone-goes-to-the-default"),
    ],
)
def test_a_message_goes_to_the_queue(voice: Voice, options: dict[str, Any], queue: str):
    app = memory_app()
    app.conf.task_default_queue = "default"
    through_door(app, voice)
    app.send_task("shop.pay", **options)
    assert [fact.queue for fact in voice.told] == [queue]
    app.close()


TOPIC = Exchange("events", "topic")


@pytest.mark.parametrize(
    ("options", "queue"),
    [
        pytest.param({}, "default", id="nothing-said"),
        pytest.param({"queue": "mail"}, "mail", id="declared"),
        pytest.param({"queue": "sms"}, "sms", id="not-declared"),
        pytest.param({"exchange": "", "routing_key": "mail"}, "mail", id="nameless-exchange"),
        pytest.param({"exchange": TOPIC, "routing_key": "pay.now"}, "payments", id="topic"),
        pytest.param({"exchange": TOPIC, "routing_key": "else"}, "else", id="topic-to-nobody"),
        pytest.param(
            {"queue": Queue("any", TOPIC, "pay.now")}, "payments", id="a-queue-of-a-topic"
        ),
        pytest.param({"queue": Queue("any", None, "key")}, "any", id="a-queue-of-no-exchange"),
    ],
)
def test_who_calls_the_door_itself_is_told_by_the_same_name(
    voice: Voice, options: dict[str, Any], queue: str
):
    """Worker and publisher say one name for one queue."""
    app = memory_app()
    app.conf.update(
        task_default_queue="default",
        task_queues=[Queue("default"), Queue("mail"), Queue("payments", TOPIC, "pay.#")],
    )
    door = Door(voice, Brokers()).around(app.amqp, lambda *_, **__: None)
    door(None, "shop.pay", app.amqp.create_task_message("id-1", "shop.pay"), **options)
    assert ([fact.queue for fact in voice.told], voice.guard.faults) == ([queue], {})


def test_no_current_span_is_no_trace():
    assert current_trace() is None


def test_the_current_span_is_told_with_its_state(inside: Callable[[Trace], None]):
    inside(SENDER._replace(sampled=False, state="a=1"))
    assert publish.current_trace() == SENDER._replace(sampled=False, state="a=1")
