"""Do random spans become the messages that the SDK's span and encoder make of them?"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceState

from otel_celery.otlp import Envelope, Limits, clean, encode_span
from otel_celery.span import CONSUMER, INTERNAL, OK, PRODUCER, UNSET, Event, FinishedSpan, Link

pytestmark = pytest.mark.newest_sdk

KINDS = {
    INTERNAL: SpanKind.INTERNAL,
    PRODUCER: SpanKind.PRODUCER,
    CONSUMER: SpanKind.CONSUMER,
}

lone = st.characters(categories=["Cs"])
text = st.text(st.characters() | lone | st.sampled_from("aé\0😀"), max_size=12)
long_text = st.integers(110, 20_000).map(lambda size: "é" * size)
edges = st.sampled_from([0, -1, 127, 128, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**64, 2**200])
scalars = (
    text | long_text | edges | st.integers() | st.booleans() | st.floats() | st.none()
) | st.binary(max_size=200)
keys = text | st.sampled_from(["a", "b", ""]) | st.integers(0, 3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
attributes = st.dictionaries(keys, values, max_size=6)
states = st.sampled_from(["", "a=b", "a=b,tenant@vendor=x:y"])
trace_ids, span_ids = st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1)
instants = st.integers(1, 2**64 - 1)
events = st.builds(Event, text, instants, attributes)
links = st.builds(
    Link, trace_ids | st.just(0), span_ids | st.just(0), st.integers(0, 1), states, attributes
)
spans = st.builds(
    FinishedSpan,
    name=text,
    kind=st.sampled_from(list(KINDS)),
    trace_id=trace_ids,
    span_id=span_ids,
    parent_id=span_ids | st.just(0),
    start_ns=instants,
    end_ns=instants,
    attributes=attributes,
    status=st.integers(UNSET, 2),
    description=text,
    events=st.lists(events, max_size=4),
    links=st.lists(links, max_size=4),
    trace_state=states,
    parent_remote=st.booleans(),
)
bounds = st.none() | st.integers(0, 4)
limits_of_all_sizes = st.just(Limits()) | st.builds(Limits, *[bounds] * len(Limits._fields))


class FixedIds(IdGenerator):
    """Gives a span of the SDK the ids of ours."""

    def __init__(self, span: FinishedSpan) -> None:
        self.span = span

    def generate_span_id(self) -> int:
        return self.span.span_id

    def generate_trace_id(self) -> int:
        return self.span.trace_id


def mended(value: Any) -> Any:
    """Return the value as the stock encoder can take it."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [mended(item) for item in value]
    if isinstance(value, dict):
        made = {mended(key): mended(item) for key, item in value.items()}
        assume(len(made) == len(value))
        return made
    return value


def by_the_sdk(span: FinishedSpan, limits: Limits, resource: dict[str, Any]) -> ReadableSpan:
    """Return a span that the SDK's tracer began and ended."""
    unset = SpanLimits.UNSET
    sizes = {name: unset if size is None else size for name, size in limits._asdict().items()}
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource(resource),
        id_generator=FixedIds(span),
        span_limits=SpanLimits(**sizes),
        shutdown_on_exit=False,
    )
    state = TraceState.from_header([span.trace_state])
    parent = SpanContext(span.trace_id, span.parent_id, span.parent_remote, trace_state=state)
    made = provider.get_tracer("scope", "1", schema_url="https://schema").start_span(
        mended(span.name),
        trace.set_span_in_context(trace.NonRecordingSpan(parent)),
        KINDS[span.kind],
        mended(span.attributes),
        [
            trace.Link(
                SpanContext(
                    link.trace_id,
                    link.span_id,
                    is_remote=True,
                    trace_state=TraceState.from_header([link.trace_state]),
                ),
                mended(link.attributes),
            )
            for link in span.links
        ],
        span.start_ns,
    )
    for event in span.events:
        made.add_event(mended(event.name), mended(event.attributes), event.time_ns)
    made.set_status(StatusCode(span.status), mended(span.description))
    made.end(span.end_ns)
    assert isinstance(made, ReadableSpan)
    return made


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """The SDK warns of each thing that it drops."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spans, limits_of_all_sizes, st.dictionaries(text.filter(bool), scalars, max_size=3))
def test_a_random_span_gives_the_message_of_the_sdk(span, limits, resource):
    """Every field of the request is equal, unknown ones included."""
    if not span.parent_id:
        span = span._replace(trace_state="", parent_remote=False)  # such is a root of the SDK
    envelope = Envelope(resource, "scope", "1", "https://schema")
    ours = ExportTraceServiceRequest.FromString(envelope.request([encode_span(span, limits)]))
    stock = encode_spans([by_the_sdk(span, limits, mended(resource))])
    # Compared as bytes, for NaN differs from itself.
    assert ours.SerializeToString(deterministic=True) == stock.SerializeToString(deterministic=True)


@settings(max_examples=100, deadline=None)
@given(st.lists(spans, max_size=3))
def test_a_request_is_made_of_the_very_bytes_that_protobuf_would_write(many):
    """Nothing superfluous is written, so a reader has nothing to skip."""
    request = Envelope({"a": 1}, "scope", "1").request([encode_span(span) for span in many])
    assert ExportTraceServiceRequest.FromString(request).SerializeToString() == request


@given(text)
def test_mended_text_is_valid_and_other_text_untouched(given_text):
    """Only surrogates change."""
    made = clean(given_text)
    assert made.encode().decode() == made
    assert made == given_text or any("\ud800" <= char <= "\udfff" for char in given_text)


@given(st.integers(UNSET, OK), text)
def test_only_an_error_has_a_description(status, description):
    """As in the SDK, whose Status refuses others."""
    span = FinishedSpan("n", CONSUMER, 1, 1, 0, 1, 1, {}, status, description)
    assert encode_span(span) == encode_span(span._replace(description=""))
