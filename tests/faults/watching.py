"""How is an app of these tests watched? WATCHED_BY says: alone, ours or contrib.

Contrib's instrumentation is set up as its own documentation tells: a provider, a batch processor
and `CeleryInstrumentor` in each pool process, and at once in a process that only publishes.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals


def watch(app: Celery) -> None:
    """Switch on what WATCHED_BY names."""
    side = os.environ["WATCHED_BY"]
    if side == "ours":
        import otel_celery

        otel_celery.instrument(app)
    elif side == "contrib":
        if os.environ.get("WATCHED_IN") == "pool":
            signals.worker_process_init.connect(_contrib, weak=False)
        else:
            _contrib()
    elif side != "alone":
        raise ValueError(f"WATCHED_BY={side}: alone, ours or contrib")


def _contrib(**_: Any) -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()
