"""An app that knows nothing of telemetry but the API, and sets what PROVIDER asks for.

PROVIDER: `import` sets providers of the SDK before the fork, `init` in each pool process, anything
else none.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery, signals
from opentelemetry import metrics, trace

PROVIDER = os.environ.get("PROVIDER", "")
tracer = trace.get_tracer("plain")

app = Celery("plain", broker=os.environ["CASES_BROKER"], backend=os.environ["CASES_BACKEND"])
app.conf.worker_pool_start_method = os.environ.get("START_METHOD", "fork")

if os.environ.get("INSTRUMENT"):
    import otel_celery

    otel_celery.instrument(app)


def provide() -> None:
    """Do what the SDK's documentation tells applications to do."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": "of-the-app"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider([reader], resource))


if PROVIDER == "import":
    provide()
    metrics.get_meter("plain").create_counter("plain.starts").add(1)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _in_pool_process(**_: Any) -> None:
    if PROVIDER == "init":
        provide()


def threads() -> list[str]:
    """Return the names of all threads that run Python here."""
    return sorted(thread.name for thread in threading.enumerate())


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _before_the_fork(**_: Any) -> None:
    print("before the fork:", threads(), flush=True)


@app.task(name="plain.quiet")  # type: ignore[untyped-decorator]
def quiet() -> list[str]:
    """Make a span, and tell the threads of the process."""
    with tracer.start_as_current_span("inner"):
        return threads()


@app.task(name="plain.count")  # type: ignore[untyped-decorator]
def count() -> int:
    """Make a span and a point; tell the process."""
    with tracer.start_as_current_span("inner"):
        metrics.get_meter("plain").create_counter("plain.counted").add(1)
        return os.getpid()
