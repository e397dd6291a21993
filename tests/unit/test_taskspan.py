"""Is the task's current span, for user code, as good as one of the SDK?"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, TraceState

from otel_celery.otlp import Limits, encode_span
from otel_celery.span import FinishedSpan
from otel_celery.taskspan import TaskSpan

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ELSEWHERE = SpanContext(7, 8, is_remote=True)
HERE = SpanContext(9, 10, is_remote=False)
INVALID = SpanContext(0, 0, is_remote=True)
STATEFUL = SpanContext(0, 0, is_remote=True, trace_state=TraceState([("a", "b")]))
OK, UNSET, ERRED = StatusCode.OK, StatusCode.UNSET, StatusCode.ERROR


class Told:
    """A class with a text of its own."""

    def __str__(self) -> str:
        return "told"


class Trouble(Exception):
    """An exception that is no builtin."""


def raised(error: Exception) -> Exception:
    """Return the error with a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


CAUGHT = raised(ValueError("bad"))
CALLS: dict[str, list[tuple[Any, ...]]] = {
    "attributes-of-each-type": [
        ("set_attributes", {"a": "é", "b": False, "c": -(2**63), "d": 1.5, "e": b"\xff"}),
        ("set_attributes", {"f": [1, None, "x"], "g": {"a": {"b": [True]}, "": 1, 2: 3}}),
        ("set_attributes", {"h": None, "i": Told(), "j": object(), "k": 2**64}),
    ],
    "attribute-set-again-moves-last": [("set_attribute", key, 1) for key in "aba"],
    "keys-that-are-no-text": [
        ("set_attribute", "", 1),
        ("set_attribute", 5, 1),
        ("set_attributes", {5: 1, "": 2, "x": 3, Told(): 4, None: 5}),
    ],
    "more-attributes-than-fit": [
        ("set_attributes", {f"k{n}": n for n in range(3)}),
        ("set_attributes", {f"k{n}": "long text" for n in range(2, 7)}),
    ],
    "events": [
        ("add_event", "first", {"a": "long text", "b": 1, "c": [1], "": 2}, 5),
        ("add_event", "second", None, 6),
    ],
    "more-events-than-fit": [("add_event", f"e{n}", {"n": n}, n + 1) for n in range(5)],
    "links": [("add_link", ELSEWHERE, {"a": "long text", "b": 1, "c": 2}), ("add_link", HERE)],
    "links-that-say-nothing": [
        ("add_link", INVALID),
        ("add_link", None),
        ("add_link", INVALID, {"a": 1}),
        ("add_link", STATEFUL),
    ],
    "more-links-than-fit": [("add_link", SpanContext(n, n, False)) for n in range(1, 6)],
    "name": [("update_name", "renamed"), ("update_name", "again")],
    "name-taken-away": [("update_name", "")],
    "status-object": [("set_status", Status(ERRED, "why"), "ignored")],
    "status-last-error-counts": [("set_status", ERRED, "why"), ("set_status", ERRED)],
    "status-ok-is-final": [
        ("set_status", ERRED, "why"),
        ("set_status", OK, "no place for this"),
        ("set_status", ERRED, "late"),
        ("set_status", Status(ERRED, "late")),
    ],
    "status-unset-is-ignored": [("set_status", ERRED, "why"), ("set_status", UNSET, "x")],
    "status-of-wrong-type": [("set_status", "ERROR"), ("set_status", ERRED, 5)],
    "exception": [("record_exception", CAUGHT, None, 5)],
    "exception-with-attributes": [
        ("record_exception", raised(Trouble("x")), {"exception.message": "mine"}, 5, True)
    ],
    "after-the-end": [
        ("set_attribute", "a", 1),
        ("end",),
        ("set_attribute", "b", 1),
        ("set_attributes", {"c": 1}),
        ("add_event", "e", None, 5),
        ("add_link", HERE),
        ("update_name", "late"),
        ("set_status", ERRED),
        ("record_exception", CAUGHT, None, 5),
        ("__exit__", ValueError, CAUGHT, None),
        ("end",),
    ],
    "left-by-an-exception": [("__exit__", ValueError, CAUGHT, None)],
    "left-in-peace": [("__exit__", None, None, None)],
}
LIMITS = {
    "default": Limits(),
    "tight": Limits(3, 4, 2, 2, 1, 1, 3),
    "nothing-fits": Limits(0, 0, 0, 0, 0, 0, 0),
}


def apply(span: Any, calls: list[tuple[Any, ...]]) -> None:
    for call, *arguments in calls:
        getattr(span, call)(*arguments)


def by_the_sdk(calls: list[tuple[Any, ...]], limits: Limits) -> Message:
    exporter = InMemorySpanExporter()
    unset = SpanLimits.UNSET
    given = {key: unset if value is None else value for key, value in limits._asdict().items()}
    provider = TracerProvider(span_limits=SpanLimits(**given), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("test").start_span("process task", kind=trace.SpanKind.CONSUMER)
    apply(span, calls)
    if span.is_recording():
        span.end()
    return encode_spans(exporter.get_finished_spans()).resource_spans[0].scope_spans[0].spans[0]


def by_us(span: TaskSpan) -> Message:
    """Return the message that main makes of the notes."""
    main = FinishedSpan("process task", 5, 1, 1, 0, 1, 1, {}, notes=span.notes())
    return Message.FromString(encode_span(main))


def comparable(message: Message) -> Message:
    """Return the message without what no two spans share."""
    for field in ("trace_id", "span_id", "start_time_unix_nano", "end_time_unix_nano"):
        message.ClearField(field)
    for event in message.events:
        event.time_unix_nano = min(event.time_unix_nano, 100)
    return message


@pytest.mark.newest_sdk
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_the_same_calls_leave_the_same_message_as_on_a_span_of_the_sdk(calls, limits):
    """Attributes, events, links, name, status and counts are equal."""
    span = TaskSpan(TRACEPARENT, limits=limits)
    apply(span, calls)
    assert comparable(by_us(span)) == comparable(by_the_sdk(calls, limits))


def test_its_context_is_the_reserved_one_and_remote():
    """User spans become children of a span that main owns."""
    span = TaskSpan(TRACEPARENT, "vendor=x,other=y")
    assert span.get_span_context() == SpanContext(
        0x0AF7651916CD43DD8448EB211C80319C,
        0xB7AD6B7169203331,
        is_remote=True,
        trace_flags=TraceFlags(1),
        trace_state=TraceState([("vendor", "x"), ("other", "y")]),
    )
    assert span.get_span_context() is span.context


def test_an_untouched_span_has_nothing_to_tell():
    """Main gets no notes from a task that does not look at its span."""
    assert TaskSpan(TRACEPARENT).notes() == b""


def test_an_unsampled_span_keeps_nothing_and_says_so(caplog):
    """Nothing is recorded, nothing is warned about."""
    span = TaskSpan(TRACEPARENT[:-2] + "02")
    for calls in CALLS.values():
        if calls is not CALLS["after-the-end"]:
            apply(span, [call for call in calls if call[0] != "__exit__"])
    assert (span.is_recording(), span.notes(), caplog.records) == (False, b"", [])


def test_attributes_that_main_writes_are_out_of_reach():
    """A reserved key is ignored and not counted as dropped."""
    span = TaskSpan(TRACEPARENT, reserved=frozenset({"messaging.system"}))
    span.set_attribute("messaging.system", "mine")
    span.set_attributes({"messaging.system": "mine", "a": 1})
    assert (span.attributes, by_us(span).dropped_attributes_count) == ({"a": 1}, 0)


def test_user_code_reads_back_what_it_put():
    """Code written for the SDK's span finds its properties."""
    span = TaskSpan(TRACEPARENT, name="process task")
    assert (span.name, span.kind) == ("process task", trace.SpanKind.CONSUMER)
    span.update_name("mine")
    span.set_attribute("a", [1])
    span.add_event("e", {"b": 1}, 5)
    span.add_link(HERE)
    span.set_status(ERRED, "why")
    event, link = span.events[0], span.links[0]
    assert (span.name, dict(span.attributes)) == ("mine", {"a": (1,)})
    assert (event.name, event.timestamp, dict(event.attributes)) == ("e", 5, {"b": 1})
    assert (link.context, span.status.status_code, span.status.description) == (HERE, ERRED, "why")


def test_calls_after_the_end_are_told_in_the_log(caplog):
    """One warning for each, as the SDK gives."""
    span = TaskSpan(TRACEPARENT)
    span.end()
    with caplog.at_level(logging.WARNING):
        apply(span, [("set_attribute", "a", 1), ("record_exception", CAUGHT), ("end",)])
    assert [record.getMessage() for record in caplog.records] == [
        "Tried calling set_attribute on an ended span.",
        "Tried calling add_event on an ended span.",
        "Calling end() on an ended span.",
    ]


def test_a_task_that_fails_in_use_span_is_recorded_once():
    """`use_span` puts the exception and the status on it."""
    span = TaskSpan(TRACEPARENT)

    def body() -> None:
        with trace.use_span(span):
            assert trace.get_current_span() is span
            raise Trouble("x")

    with pytest.raises(Trouble):
        body()
    assert [event.name for event in span.events] == ["exception"]
    assert (span.status.status_code, span.status.description) == (ERRED, "Trouble: x")
    assert span.is_recording()


def test_threads_lose_nothing():
    """Several threads of the task may put things on its span."""
    span = TaskSpan(TRACEPARENT, limits=Limits(max_span_attributes=None, max_events=None))

    def put(thread: int) -> None:
        for n in range(200):
            span.set_attribute(f"{thread}.{n}", n)
            span.add_event("e", None, 5)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(4)))
    message = by_us(span)
    assert (len(message.attributes), len(message.events)) == (800, 800)


def test_an_exception_on_the_span_tells_no_credentials() -> None:
    """Neither recorded nor passing."""
    span = TaskSpan(TRACEPARENT)

    def connect() -> None:
        try:
            raise OSError("no answer from redis://:pa55@host/0")
        except OSError as exc:
            span.record_exception(exc)
            raise

    with pytest.raises(OSError, match="pa55"), trace.use_span(span), span:
        connect()
    assert b"pa55" not in span.notes()
    assert b"redis://***@host/0" in span.notes()
