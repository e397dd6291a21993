"""An exporter that keeps what it is given, and a lane to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_celery.lanes.reference import ReferenceLane
from otel_celery.otlp import Envelope
from otel_celery.span import CONSUMER, FinishedSpan

RESOURCE = Resource({"service.name": "shop"})
SCOPE = ("otel_celery", "1")
ENVELOPE = Envelope({"service.name": "shop"}, *SCOPE)
SPAN = FinishedSpan(
    "process pay", CONSUMER, 1 << 100, 2 << 40, 3 << 40, 10, 20, {"a": 1},
    trace_state="v=1", parent_remote=True,
)  # fmt: skip


class Keeping(SpanExporter):
    """Keeps each batch; fails or raises as told."""

    def __init__(self, *results: SpanExportResult | Exception) -> None:
        self.batches: list[Sequence[ReadableSpan]] = []
        self.results = list(results)
        self.closed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.batches.append(list(spans))
        result = self.results.pop(0) if self.results else SpanExportResult.SUCCESS
        if isinstance(result, Exception):
            raise result
        return result

    def shutdown(self) -> None:
        self.closed += 1


def reference(exporter: SpanExporter, **more: Any) -> ReferenceLane:
    return ReferenceLane([exporter], RESOURCE, SCOPE, **more)
