"""Which way do spans take out of this process?"""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import TracerProvider as AnyTracerProvider

from otel_celery import __version__
from otel_celery.conventions import SCOPE
from otel_celery.lanes import NoLane, SpanLane
from otel_celery.lanes.application import ApplicationLane
from otel_celery.lanes.bytes_lane import BytesLane
from otel_celery.lanes.otlp_http import OtlpHttp
from otel_celery.lanes.reference import ReferenceLane
from otel_celery.otlp import Envelope
from otel_celery.sdk.environment import (
    OTLP_HTTP,
    TRACES,
    build_sampler,
    exporter_names,
    load_exporter,
    sdk_disabled,
    span_limits,
)


def build_span_lane(resource: Resource, app_provider: AnyTracerProvider | None = None) -> SpanLane:
    """Return the lane that the variables ask for.

    Args:
        resource: of the spans, where the application has no provider.
        app_provider: the application's; spans go through it if it is the SDK's.

    Raises:
        ConfigError: a variable with an unusable value.
        MissingExtra: an exporter that is not installed.
    """
    if sdk_disabled():
        return NoLane()
    scope = (SCOPE, __version__)
    if isinstance(app_provider, TracerProvider) and not isinstance(
        app_provider, UserTracerProvider
    ):
        return ApplicationLane(app_provider, scope)
    names = exporter_names(TRACES)
    if not names:
        return NoLane()
    limits = span_limits()
    if names == [OTLP_HTTP] and not resource.schema_url:
        post = OtlpHttp.from_env()
        envelope = Envelope(resource.attributes or {}, *scope)
        return BytesLane(post, envelope, limits, where=post.target.shown)
    exporters = [load_exporter(TRACES, name)() for name in names]
    return ReferenceLane(exporters, resource, scope)


class UserTracerProvider(TracerProvider):
    """Ours, which a process that a task forks inherits: nobody there may take it for another's."""


def build_user_tracer_provider(
    resource: Resource, on_end: Callable[[ReadableSpan], object]
) -> UserTracerProvider:
    """Return a provider for the spans that tasks make, where the application has set none.

    Args:
        resource: of the process.
        on_end: takes each sampled span when it ends, in the thread that ends it.
    """
    provider = UserTracerProvider(build_sampler(), resource, shutdown_on_exit=False)
    provider.add_span_processor(_HandOn(on_end))
    return provider


def provide_tracer(resource: Resource, on_end: Callable[[ReadableSpan], object]) -> None:
    """Give the spans that tasks make a way out, unless the application has one of its own."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(build_user_tracer_provider(resource, on_end))


class _HandOn(SpanProcessor):
    def __init__(self, on_end: Callable[[ReadableSpan], object]) -> None:
        self._take = on_end

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self._take(span)
