"""What did user code put on a span, by the rules of the SDK's span?"""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.trace import SpanContext, Status, StatusCode

from otel_celery.otlp import encode_span
from otel_celery.span import ERROR, FinishedSpan
from otel_celery.taskspan import TaskSpan

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HERE = SpanContext(9, 10, is_remote=False)
OK, ERRED = StatusCode.OK, StatusCode.ERROR


class Odd:
    """A class that fails whenever it is looked at."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __bool__ = __str__


def by_us(span: TaskSpan, status: int = 0, description: str = "") -> Message:
    """Return the message that main makes of the notes."""
    main = FinishedSpan("process task", 5, 1, 1, 0, 1, 1, {}, status, description)
    return Message.FromString(encode_span(main._replace(notes=span.notes())))


def test_what_changes_after_it_was_put_does_not_show():
    """Values are copied at the call."""
    span = TaskSpan(TRACEPARENT)
    value = [1]
    span.set_attribute("a", value)
    span.add_event("e", {"b": value}, 5)
    span.add_link(HERE, {"c": value})
    before = span.notes()
    value.append(2)
    assert span.notes() == before


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(("set_attribute", "a", Odd()), id="value-without-text"),
        pytest.param(("set_attribute", [], 1), id="key-that-is-a-list"),
        pytest.param(("set_attributes", {"a": Odd()}), id="values-without-text"),
        pytest.param(("set_attributes", 5), id="attributes-that-are-a-number"),
        pytest.param(("set_attributes", {Odd(): 1}), id="key-without-text"),
        pytest.param(("set_status", ERRED, Odd()), id="description-without-text"),
        pytest.param(("set_status", Status("ERROR")), id="status-that-is-text"),  # type: ignore[arg-type]
        pytest.param(("add_event", Odd(), 5, "now"), id="event-of-wrong-types"),
        pytest.param(("add_event", "e", {"a": Odd()}, -1), id="event-before-1970"),
        pytest.param(("add_link", HERE, 5), id="link-attributes-that-are-a-number"),
        pytest.param(("add_link", SpanContext(1 << 200, 1, False), {"a": 1}), id="link-too-wide"),
        pytest.param(("add_link", HERE, Odd()), id="link-attributes-without-truth"),
        pytest.param(("update_name", Odd()), id="name-without-text"),
        pytest.param(("record_exception", None), id="exception-that-is-none"),
        pytest.param(
            ("record_exception", ValueError("bad"), Odd(), Odd(), Odd()), id="odd-exception"
        ),
    ],
)
def test_odd_calls_never_raise_and_never_spoil_the_message(call):
    """The task goes on, and what was put before still arrives."""
    span = TaskSpan(TRACEPARENT)
    span.set_attribute("before", 1)
    name, *arguments = call
    getattr(span, name)(*arguments)
    assert by_us(span).attributes[0].key == "before"


@pytest.mark.newest_sdk
def test_a_value_that_contains_itself_is_dropped_and_counted():
    """No endless copy."""
    loop: list[Any] = []
    loop.append(loop)
    span = TaskSpan(TRACEPARENT)
    span.set_attribute("loop", loop)
    assert (len(by_us(span).attributes), by_us(span).dropped_attributes_count) == (0, 1)


@pytest.mark.newest_sdk
def test_the_alarm_of_a_time_limit_passes_through():
    """An exception that is not of the value belongs to the task."""

    class Alarm(Exception):
        pass

    class Slow:
        def __str__(self) -> str:
            raise Alarm

    with pytest.raises(Alarm):
        TaskSpan(TRACEPARENT).set_attribute("a", Slow())


def test_lone_surrogates_are_mended_in_all_text():
    """The stock encoder would lose the batch."""
    span = TaskSpan(TRACEPARENT)
    span.update_name("n\ud800")
    span.set_attribute("k\ud800", ["v\ud800"])
    span.add_event("e\ud800", {"k": "\ud83d\ude00"}, 5)
    span.set_status(ERRED, "d\ud800")
    message = by_us(span)
    attribute, event = message.attributes[0], message.events[0]
    assert (message.name, attribute.key, message.status.message) == ("n�", "k�", "d�")
    assert attribute.value.array_value.values[0].string_value == "v�"
    assert (event.name, event.attributes[0].value.string_value) == ("e�", "😀")


def test_the_users_status_wins_over_that_of_main():
    """OK takes away the description that main gave."""
    span = TaskSpan(TRACEPARENT)
    span.set_status(OK)
    status = by_us(span, ERROR, "ValueError: bad").status
    assert (status.code, status.message) == (1, "")
