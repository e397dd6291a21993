"""An app under the names of contrib, by contrib itself or by us: NAMED_BY says who.

As a program it sends each task once, under an id of its own, and waits for the end of all.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

import otel_celery

app = Celery("names", broker=os.environ["CASES_BROKER"], backend=os.environ["CASES_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_queues=[
        Queue("celery", Exchange("celery"), "celery"),
        Queue("letters", Exchange("post"), "letter"),
        Queue("orders", Exchange("shop", type="topic"), "order.#"),
    ],
)


def contrib() -> None:
    """Set contrib up as its documentation tells, with spans and metrics as OTLP."""
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource({"service.instance.id": str(os.getpid())})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider([reader], resource))
    CeleryInstrumentor().instrument()


if os.environ["NAMED_BY"] == "contrib":
    contrib()
else:
    otel_celery.instrument(app)


@app.task(name="pays")  # type: ignore[untyped-decorator]
def pays() -> None:
    """Do nothing."""


@app.task(name="fails")  # type: ignore[untyped-decorator]
def fails() -> None:
    raise ValueError("no money")


@app.task(name="expects", throws=(KeyError,))  # type: ignore[untyped-decorator]
def expects() -> None:
    raise KeyError("known")


@app.task(name="retries", bind=True)  # type: ignore[untyped-decorator]
def retries(self: Any) -> None:
    if not self.request.retries:
        raise self.retry(exc=ValueError("later"), countdown=0)


@app.task(name="runs_within")  # type: ignore[untyped-decorator]
def runs_within() -> None:
    pays.apply(task_id="eager")


SENT: dict[str, tuple[Any, dict[str, Any]]] = {
    "usual": (pays, {}),
    "failed": (fails, {}),
    "expected": (expects, {}),
    "retried": (retries, {}),
    "within": (runs_within, {}),
    "limited": (pays, {"time_limit": 60, "soft_time_limit": 50}),
    "hard": (pays, {"time_limit": 60, "expires": "2100-01-01T00:00:00+00:00"}),
    "planned": (pays, {"eta": "2000-01-01T00:00:00+00:00", "priority": 3}),
    "letter": (pays, {"queue": "letters"}),
    "topic": (pays, {"queue": "orders", "routing_key": "order.new"}),
}

if __name__ == "__main__":
    for task_id, (task, options) in SENT.items():
        task.apply_async(task_id=task_id, **options)
    for task_id in SENT:
        app.AsyncResult(task_id).get(timeout=120, propagate=False)
