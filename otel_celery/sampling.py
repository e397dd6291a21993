"""Is this span kept? Asked once where a trace begins or a message arrives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otel_celery.envelope import NO_PARENT, Trace

_NOTHING: Mapping[str, Any] = {}


class Sampler(Protocol):
    """What an SDK sampler offers; see `opentelemetry.sdk.trace.sampling.Sampler`."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
    ) -> Any:
        """Return a result with `decision`, `attributes` and `trace_state`."""


class Decision(NamedTuple):
    """What a sampler said."""

    sampled: bool
    state: str
    attributes: Mapping[str, Any]


def span_context(trace: Trace, *, remote: bool = True) -> SpanContext:
    """Return the OpenTelemetry object for a context held as text."""
    return SpanContext(
        int(trace.trace_id, 16),
        int(trace.span_id, 16),
        is_remote=remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )


def context_of(trace: Trace) -> Context:
    """Return a context, otherwise empty, in which `trace` is the current span."""
    return set_span_in_context(NonRecordingSpan(span_context(trace)), Context())


class Decider:
    """Parent-based "always on" without an object, any other sampler by asking it."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._sampler = sampler
        self.by_parent = sampler is None
        """Need nobody be asked, because a span is kept as its parent is, and a root always?"""

    def __call__(
        self,
        parent: Trace | None,
        trace_id: str,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
    ) -> Decision:
        """Decide for a span that is about to begin.

        Args:
            parent: its parent, which lives in this or another process.
            trace_id: 32 hex digits.
            name: span name.
            kind: span kind.
            attributes: those known by now.
        """
        if self._sampler is None:
            if parent is None:
                return Decision(True, "", _NOTHING)
            return Decision(parent.sampled, parent.state, _NOTHING)
        known = parent is not None and parent.span_id != NO_PARENT
        result = self._sampler.should_sample(
            context_of(parent) if parent is not None and known else Context(),
            int(trace_id, 16),
            name,
            kind,
            attributes,
            (),
        )
        state = result.trace_state.to_header() if result.trace_state else ""
        return Decision(result.decision.is_sampled(), state, dict(result.attributes or {}))
