"""The application's processors see our spans as if they had lived in front of them."""

from __future__ import annotations

import math

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_celery.lanes.application import ApplicationLane
from otel_celery.lanes.replay import sdk_tracer
from otel_celery.otlp import encode_span
from otel_celery.span import ERROR, Link
from tests.unit.fake_exporter import ENVELOPE, RESOURCE, SCOPE, SPAN


class Watching(SpanProcessor):
    """An application's processor."""

    def __init__(self) -> None:
        self.started: list[Span] = []
        self.parents: list[Context | None] = []
        self.ended: list[ReadableSpan] = []
        self.flushed: list[int] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append(span)
        self.parents.append(parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self.flushed.append(timeout_millis)
        return True


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.fixture
def app_lane(watching: Watching) -> ApplicationLane:
    """A lane into a provider that samples nothing and allows one attribute."""
    provider = TracerProvider(
        ALWAYS_OFF,
        Resource({"service.name": "theirs"}),
        span_limits=SpanLimits(max_span_attributes=1),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(watching)
    return ApplicationLane(provider, SCOPE, clock=lambda: 100.0)


def test_the_applications_processors_see_a_span_begin_and_end(
    app_lane: ApplicationLane, watching: Watching
):
    """Ids, instants and the decision to sample are ours, resource and limits are theirs."""
    app_lane.put(SPAN._replace(status=ERROR, description="why", attributes={"a": 1, "b": 2}))
    (started,), (ended,) = watching.started, watching.ended
    context = ended.get_span_context()
    assert context is not None
    assert started.get_span_context() is context
    assert (context.trace_id, context.span_id) == (1 << 100, 2 << 40)
    assert (context.trace_flags.sampled, context.trace_state.to_header()) == (True, "v=1")
    assert ended.parent is not None
    assert (ended.parent.span_id, ended.parent.is_remote) == (3 << 40, True)
    assert (ended.start_time, ended.end_time) == (10, 20)
    assert (dict(ended.attributes or {}), ended.dropped_attributes) == ({"b": 2}, 1)
    assert ended.status.description == "why"
    assert ended.resource.attributes["service.name"] == "theirs"
    assert ended.instrumentation_scope is not None
    assert ended.instrumentation_scope.name == "otel_celery"
    assert app_lane.counts().sent == 1


def test_the_applications_tracer_keeps_its_own_dice(watching: Watching):
    """Spans of the same scope that do not come from us are not touched."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(watching)
    sampler, dice = provider.sampler, provider.id_generator
    ApplicationLane(provider, SCOPE).put(SPAN)
    tracer = sdk_tracer(provider, SCOPE)
    assert (tracer.sampler, tracer.id_generator) == (sampler, dice)


def test_spans_of_other_processes_only_end_here(app_lane: ApplicationLane, watching: Watching):
    app_lane.put_encoded(ENVELOPE.request([encode_span(SPAN)]), 1)
    assert watching.started == []
    assert [span.name for span in watching.ended] == ["process pay"]
    assert watching.ended[0].resource == RESOURCE


def test_the_applications_provider_flushes_only_when_somebody_waits(
    app_lane: ApplicationLane, watching: Watching
):
    app_lane.export(math.inf)
    assert watching.flushed == []
    app_lane.export(103.0)
    assert len(watching.flushed) == 1
    assert 2900 <= watching.flushed[0] <= 3000


def test_links_keep_the_trace_state(app_lane: ApplicationLane, watching: Watching):
    app_lane.put(SPAN._replace(links=[Link(5, 6, 1, "x=y", {"why": "retry"})]))
    (link,) = watching.ended[0].links
    assert (link.context.trace_id, link.context.span_id, link.context.is_remote) == (5, 6, True)
    assert link.context.trace_state.to_header() == "x=y"


def test_a_disabled_sdk_has_no_tracer_to_speak_through(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provider = TracerProvider(shutdown_on_exit=False)
    with pytest.raises(TypeError, match="NoOpTracer"):
        sdk_tracer(provider, SCOPE)
