"""How does a finished span live again as one of the SDK's?"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from otel_celery.lanes.readable import decode_event, decode_link, decode_status, decode_value
from otel_celery.otlp import clean
from otel_celery.span import FinishedSpan

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def sdk_tracer(provider: TracerProvider, scope: tuple[str, str]) -> Tracer:
    """Return the provider's tracer of this name and version.

    Raises:
        TypeError: the provider makes others than the SDK's, as with OTEL_SDK_DISABLED.
    """
    tracer = provider.get_tracer(*scope)
    if not isinstance(tracer, Tracer):
        raise TypeError(f"expected a provider of SDK tracers, got one of {type(tracer).__name__}")
    return tracer


class _Reserved(IdGenerator, Sampler):
    """Stands in for a tracer's dice and sampler: both were asked when the task was received."""

    def __init__(self, span: FinishedSpan, state: TraceState) -> None:
        self._span = span
        self._state = state

    def generate_span_id(self) -> int:
        return self._span.span_id

    def generate_trace_id(self) -> int:
        return self._span.trace_id

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, self._state)

    def get_description(self) -> str:
        return "AlreadyDecided"


def replay(tracer: Tracer, span: FinishedSpan) -> None:
    """Live a finished span again as one of the SDK's, from its start to its end.

    Processors, resource, limits and scope are the tracer's; ids and instants are the span's.
    """
    state = TraceState.from_header([span.trace_state]) if span.trace_state else TraceState()
    own = copy.copy(tracer)
    own.id_generator = own.sampler = _Reserved(span, state)
    context = Context()
    if span.parent_id:
        parent = SpanContext(span.trace_id, span.parent_id, span.parent_remote, _SAMPLED, state)
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent), context)
    links = [
        Link(
            SpanContext(
                link.trace_id,
                link.span_id,
                is_remote=True,
                trace_flags=TraceFlags(link.trace_flags),
                trace_state=TraceState.from_header([link.trace_state]),
            ),
            mended(link.attributes),
        )
        for link in span.links
    ]
    name, kind = mended(span.name), SpanKind(span.kind - 1)
    lived = own.start_span(name, context, kind, mended(span.attributes), links, span.start_ns)
    for event in span.events:
        lived.add_event(mended(event.name), mended(event.attributes), event.time_ns)
    status, description = StatusCode(span.status), mended(span.description)
    if span.notes:
        notes = trace_pb2.Span.FromString(span.notes)
        for pair in notes.attributes:
            lived.set_attribute(pair.key, decode_value(pair.value))
        for noted in map(decode_event, notes.events):
            lived.add_event(noted.name, noted.attributes, noted.timestamp)
        for link in map(decode_link, notes.links):
            lived.add_link(link.context, link.attributes)
        if notes.name:
            lived.update_name(notes.name)
        if notes.HasField("status"):
            said = decode_status(notes.status)
            status, description = said.status_code, said.description or ""
    lived.set_status(status, description if status is StatusCode.ERROR else None)
    lived.end(span.end_ns)


def mended(value: Any) -> Any:
    """Return a value whose texts are valid Unicode: one that is not loses a stock exporter's batch.

    The SDK's own handling follows: it cuts, counts and turns what it does not know into text.
    """
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {mended(key): mended(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [mended(item) for item in value]
    return value
