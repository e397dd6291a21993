"""Who watches Celery here, switched on as its manual says?

This is read in virtualenvs of peers, too: nothing but Celery is imported before a side is chosen.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from celery import signals


class Watcher(NamedTuple):
    """What a place must know of who watches it.

    Where threads work by the clock and not by the task, `hold` ends them and `tell` does their work
    in its caller's thread, so that it can be counted.
    """

    hold: Callable[[], object]
    tell: Callable[[], object]


def _nothing() -> None:
    """Owe nothing to the background."""


NOBODY = Watcher(_nothing, _nothing)


def bare(app: Any) -> Watcher:
    """Celery alone."""
    return NOBODY


def ours(app: Any) -> Watcher:
    """Watch by otel-celery: spans and metrics, OTLP over HTTP."""
    import otel_celery
    from otel_celery import bootstrap

    otel_celery.instrument(app)

    def exporter() -> Any:
        current = bootstrap._current
        assert current is not None
        return current.here.exporter  # None in a pool process, which exports nothing

    def hold() -> None:
        if (held := exporter()) is not None:
            held.speaker.stop(10)
            held.courier.stop(10)
            held.rounds.stop(10)

    def tell() -> None:
        if (held := exporter()) is not None:
            held.speaker.speak()
            held.lane.export(math.inf)

    return Watcher(hold, tell)


def contrib(app: Any) -> Watcher:
    """Watch by opentelemetry-instrumentation-celery: spans and metrics, OTLP over HTTP.

    A worker sets the SDK up in each pool process, as its manual says, since threads do not survive
    a fork; a publisher does it at once.
    """
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    providers: list[TracerProvider] = []

    def switch_on(*_: Any, **__: Any) -> None:
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        metrics.set_meter_provider(MeterProvider([reader]))
        CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]
        providers[:] = [provider]

    by_worker(switch_on)
    return Watcher(_nothing, lambda: [provider.force_flush() for provider in providers])


def by_worker(switch_on: Callable[..., None]) -> None:
    """Switch on in each pool process of a worker, and at once in a process that is none."""
    if os.environ.get("BENCH_ROLE") == "worker":
        signals.worker_process_init.connect(switch_on, weak=False)
    else:
        switch_on()


def elastic(app: Any) -> Watcher:
    """Watch by Elastic APM; it adds nothing to what is published outside of a transaction."""
    import elasticapm
    from elasticapm.contrib.celery import register_exception_tracking, register_instrumentation

    client = elasticapm.Client()
    elasticapm.instrument()
    register_exception_tracking(client)
    register_instrumentation(client)
    if os.environ.get("BENCH_ROLE") != "worker":
        client.begin_transaction("bench")
    return Watcher(_nothing, client._transport.flush)


def sentry(app: Any) -> Watcher:
    """Watch by Sentry, with its integration for Celery, which finds itself."""
    import sentry_sdk

    sentry_sdk.init(traces_sample_rate=1.0)
    return Watcher(_nothing, sentry_sdk.flush)


def datadog(app: Any) -> Watcher:
    """Watch by Datadog, whose `sitecustomize` has switched it on."""
    from ddtrace.trace import tracer

    return Watcher(_nothing, tracer.flush)


def new_relic(app: Any) -> Watcher:
    """Watch by New Relic, whose `sitecustomize` has switched it on."""
    import newrelic.agent

    newrelic.agent.register_application(timeout=10.0)
    return NOBODY


def events(app: Any) -> Watcher:
    """Have workers tell of tasks by events, as with `-E`."""
    app.conf.worker_send_task_events = True
    return NOBODY


SIDES: dict[str, Callable[[Any], Watcher]] = {
    "bare": bare,
    "ours": ours,
    "contrib": contrib,
    "elastic-apm": elastic,
    "ddtrace": datadog,
    "sentry-sdk": sentry,
    "newrelic": new_relic,
    "events": events,
}
