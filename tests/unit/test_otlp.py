"""What are a span's bytes in OTLP?"""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.sdk.trace import SpanLimits

from otel_celery.otlp import Envelope, Limits, encode_span
from otel_celery.span import CONSUMER, ERROR, Event, FinishedSpan, Link

SPAN = FinishedSpan("process pay", CONSUMER, 1 << 120, 1 << 60, 5, 10, 20, {"a": 1})


def attribute(key: str, number: int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(int_value=number))


def decoded(span: FinishedSpan, limits: Limits | None = None) -> Message:
    return Message.FromString(encode_span(span, limits or Limits()))


def test_a_span_is_written_whole():
    """Each fact is in the field that the protocol has for it."""
    span = SPAN._replace(
        status=ERROR,
        description="why",
        events=[Event("e", 15, {"b": 2})],
        links=[Link(7, 8, attributes={"c": 3})],
        trace_state="a=b",
        parent_remote=True,
    )
    assert decoded(span) == Message(
        trace_id=b"\1" + bytes(15),
        span_id=b"\x10" + bytes(7),
        parent_span_id=bytes(7) + b"\5",
        trace_state="a=b",
        name="process pay",
        kind=Message.SPAN_KIND_CONSUMER,
        start_time_unix_nano=10,
        end_time_unix_nano=20,
        attributes=[attribute("a", 1)],
        events=[Message.Event(name="e", time_unix_nano=15, attributes=[attribute("b", 2)])],
        links=[
            Message.Link(
                trace_id=bytes(15) + b"\7",
                span_id=bytes(7) + b"\10",
                attributes=[attribute("c", 3)],
                flags=0x300,
            )
        ],
        status=Status(code=Status.STATUS_CODE_ERROR, message="why"),
        flags=0x300,
    )


def test_limits_are_named_and_set_as_those_of_the_sdk():
    """So they can be taken from its SpanLimits by name."""
    theirs = SpanLimits()
    assert Limits()._asdict() == {name: getattr(theirs, name) for name in Limits._fields}


def test_the_last_of_too_many_are_kept_and_the_others_counted():
    """The SDK drops the oldest."""
    many = {f"k{n}": n for n in range(4)}
    span = SPAN._replace(
        attributes=many,
        events=[Event(f"e{n}", n, many) for n in range(4)],
        links=[Link(n, n, attributes=many) for n in range(5)],  # the first is invalid and stays
    )
    made = decoded(span, Limits(3, None, 2, 1, 1, 2))
    assert [pair.key for pair in made.attributes] == ["k1", "k2", "k3"]
    assert [event.name for event in made.events] == ["e2", "e3"]
    assert [link.span_id[-1] for link in made.links] == [4]
    assert (made.events[0].dropped_attributes_count, made.links[0].dropped_attributes_count) == (
        3,
        2,
    )
    counts = made.dropped_attributes_count, made.dropped_events_count, made.dropped_links_count
    assert counts == (1, 2, 4)


@pytest.mark.parametrize(
    ("link", "kept"),
    [
        pytest.param(Link(1, 1), True, id="valid"),
        pytest.param(Link(0, 1), False, id="no-trace"),
        pytest.param(Link(1, 0), False, id="no-span"),
        pytest.param(Link(0, 0, attributes={"a": 1}), True, id="attributes"),
        pytest.param(Link(0, 0, trace_state="a=b"), True, id="trace-state"),
    ],
)
def test_a_link_is_kept_if_it_says_anything(link, kept):
    """Invalid ids alone are no link."""
    assert len(decoded(SPAN._replace(links=[link])).links) == kept


def test_notes_are_added_and_their_name_and_status_win():
    """What user code put on the span in the pool process joins main's message."""
    theirs = Message(
        name="mine",
        attributes=[attribute("b", 2)],
        events=[Message.Event(name="f")],
        status=Status(code=Status.STATUS_CODE_OK),
    )
    span = SPAN._replace(events=[Event("e", 15)], notes=theirs.SerializeToString())
    made = decoded(span)
    assert (made.name, made.status) == ("mine", Status(code=Status.STATUS_CODE_OK))
    assert [pair.key for pair in made.attributes] == ["a", "b"]
    assert [event.name for event in made.events] == ["e", "f"]


def test_an_envelope_says_who_speaks():
    """Resource, scope and schema are around the spans."""
    request = Envelope({"service.name": "shop"}, "scope", "1.0", "https://schema")
    name = KeyValue(key="service.name", value=AnyValue(string_value="shop"))
    assert ExportTraceServiceRequest.FromString(
        request.request([encode_span(SPAN)])
    ) == ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=[name]),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(name="scope", version="1.0"),
                        spans=[decoded(SPAN)],
                        schema_url="https://schema",
                    )
                ],
            )
        ]
    )


def test_requests_join_by_concatenation():
    """Main forwards what pool processes sent without decoding it."""
    one, two = Envelope({"a": 1}, "s", ""), Envelope({"a": 2}, "s", "")
    span = encode_span(SPAN)
    joined = ExportTraceServiceRequest.FromString(one.request([span]) + two.request([span, span]))
    assert [len(part.scope_spans[0].spans) for part in joined.resource_spans] == [1, 2]


def test_text_with_lone_surrogates_spoils_nothing():
    """Wherever text stands, it arrives mended."""
    bad = "x\ud800"
    span = SPAN._replace(
        name=bad,
        trace_state=bad,
        attributes={bad: [bad, {bad: bad}]},
        status=ERROR,
        description=bad,
        events=[Event(bad, 1, {bad: bad})],
    )
    made = decoded(span)
    text = {made.name, made.trace_state, made.status.message, made.attributes[0].key}
    assert text | {made.events[0].name, made.events[0].attributes[0].key} == {"x\ufffd"}


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"k": x}], ids=["lists", "mappings"])
def test_no_depth_of_nesting_makes_a_request_that_cannot_be_read(wrap):
    """Readers refuse a message of 100 levels, and with it the whole batch."""
    value, kept = 1, 0
    for _ in range(60):
        value = wrap(value)
        span = encode_span(SPAN._replace(events=[Event("e", 1, {"a": value})]))
        read = ExportTraceServiceRequest.FromString(Envelope({}, "s", "").request([span]))
        kept += len(read.resource_spans[0].scope_spans[0].spans[0].events[0].attributes)
    assert 30 <= kept < 60
