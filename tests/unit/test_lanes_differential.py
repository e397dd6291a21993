"""Both lanes say the same of a span, whatever is in it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from otel_celery.lanes import Counts
from otel_celery.lanes.bytes_lane import BytesLane
from otel_celery.otlp import encode_span, encode_status
from otel_celery.span import CONSUMER, ERROR, OK, Event, FinishedSpan, Link
from tests.unit.fake_exporter import ENVELOPE, SPAN, Keeping, reference
from tests.unit.fake_post import Clock, FakePost
from tests.unit.test_otlp_differential import mended, spans

pytestmark = pytest.mark.newest_sdk


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The SDK warns of each thing that it drops."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def note(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
notes = st.builds(
    lambda name, pairs, times, code, message: (
        trace_pb2.Span(
            name=name,
            attributes=[note(f"note.{key}", value) for key, value in pairs.items()],
            events=[trace_pb2.Span.Event(name="e", time_unix_nano=time) for time in times],
            links=[
                trace_pb2.Span.Link(
                    trace_id=bytes(15) + b"\1", span_id=bytes(7) + b"\2", flags=0x300
                )
            ],
        ).SerializeToString()
        + (b"" if code is None else encode_status(code, message, replace=True))
    ),
    plain,
    st.dictionaries(plain, plain, max_size=3),
    st.lists(st.integers(1, 2**63), max_size=2),
    st.sampled_from([None, OK, ERROR]),
    plain,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(spans, st.just(b"") | notes)
def test_both_lanes_send_the_same_message(span: FinishedSpan, said: bytes):
    """Whatever is in the span, and whatever user code noted on it."""
    if not span.parent_id:
        span = span._replace(parent_remote=False)
    mended(span.attributes)  # leaves out names that are the same once they are mended
    assume(all(mended(item.attributes) is not None for item in (*span.events, *span.links)))
    span = span._replace(notes=said)
    post, exporter = FakePost(Clock()), Keeping()
    for lane in (BytesLane(post, ENVELOPE), reference(exporter)):
        lane.put(span)
        lane.put_encoded(ENVELOPE.request([encode_span(SPAN)]), 1)
        assert lane.export(math.inf) is None
        assert lane.counts() == Counts(2, {}, 0, 50_000)
    (batch,) = exporter.batches
    ours, stock = (
        sent(ExportTraceServiceRequest.FromString(post.bodies[0])),
        sent(encode_spans(batch)),
    )
    # Not the whole values: pytest takes minutes to show how two long texts differ.
    assert [(a[:2000], b[:2000]) for a, b in zip(ours, stock, strict=True) if a != b] == []


def test_invalid_text_is_mended_wherever_it_stands():
    """One such string would lose a stock exporter's whole batch."""
    bad, exporter = "a\udcff", Keeping()
    attributes = {"one": bad, "many": [bad], bad: 1}
    span = FinishedSpan(
        bad, CONSUMER, 1, 2, 0, 3, 4, attributes, ERROR, bad,
        [Event(bad, 5, attributes)], [Link(6, 7, attributes=attributes)],
    )  # fmt: skip
    lane = reference(exporter)
    lane.put(span)
    lane.export(math.inf)
    bytes_of_ours = ENVELOPE.request([encode_span(span)])
    ours = sent(ExportTraceServiceRequest.FromString(bytes_of_ours))
    assert sent(encode_spans(exporter.batches[0])) == ours
    assert ours[0].count("a\ufffd".encode()) == 12


def sent(request: ExportTraceServiceRequest) -> list[bytes]:
    """Return resource, scope and span of each, in no order; as bytes, for NaN differs from NaN."""
    return sorted(
        b"|".join(
            part.SerializeToString(deterministic=True)
            for part in (by_resource.resource, by_scope.scope, span)
        )
        for by_resource in request.resource_spans
        for by_scope in by_resource.scope_spans
        for span in by_scope.spans
    )
