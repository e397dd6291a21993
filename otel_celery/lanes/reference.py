"""How do spans leave through the SDK, to any exporter?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_celery.lanes.batches import Batches
from otel_celery.lanes.outbox import Outbox
from otel_celery.lanes.readable import decode_request
from otel_celery.lanes.replay import replay, sdk_tracer
from otel_celery.span import FinishedSpan


class _Collect(SpanProcessor):
    def __init__(self) -> None:
        self.ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


class ReferenceLane(Batches[FinishedSpan | bytes]):
    """Spans as SDK spans, see `Batches`.

    Args:
        exporters: each gets every span.
        resource: of the spans that are put one by one.
        scope: name and version of their tracer.
        limits: of such a span; the `OTEL_SPAN_*` variables unless given.
        outbox: queue; only tests and small machines need another.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        exporters: Sequence[SpanExporter],
        resource: Resource,
        scope: tuple[str, str],
        limits: SpanLimits | None = None,
        *,
        outbox: Outbox[FinishedSpan | bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(exporters, self._readable, SpanExportResult.FAILURE, outbox, clock)
        self._collect = _Collect()
        provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
        provider.add_span_processor(self._collect)
        self._tracer = sdk_tracer(provider, scope)

    def put(self, span: FinishedSpan) -> None:
        self._outbox.offer(span, 1, _size(span))

    def put_encoded(self, request: bytes, spans: int) -> None:
        self._outbox.offer(request, spans, len(request))

    def _readable(self, items: Sequence[FinishedSpan | bytes]) -> list[ReadableSpan]:
        spans: list[ReadableSpan] = []
        for item in items:
            if isinstance(item, bytes):
                spans += decode_request(item)
            else:
                replay(self._tracer, item)
                spans += self._collect.ended
                self._collect.ended.clear()
        return spans


def _size(span: FinishedSpan) -> int:
    """Estimate the bytes of a span: what can be long is its notes and its traceback."""
    texts = [v for event in span.events for v in event.attributes.values() if isinstance(v, str)]
    return 512 + len(span.notes) + sum(map(len, texts))
