"""How do spans leave through the SDK, to any exporter?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_celery.lanes import Counts
from otel_celery.lanes.outbox import Outbox, Parcel
from otel_celery.lanes.readable import decode_request
from otel_celery.lanes.replay import replay, sdk_tracer
from otel_celery.span import FinishedSpan

_BATCH = 512  # as the SDK's batch processor
_TURN = 8  # batches in a row, before other work of the courier has its turn


class _Collect(SpanProcessor):
    def __init__(self) -> None:
        self.ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


class ReferenceLane:
    """Spans as SDK spans, in batches to exporters; both are made by the courier.

    An exporter retries by itself: what it fails to take is dropped and counted. One that raises
    loses the batch too, and the courier reports it.

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
        self.exporters = exporters
        self._collect = _Collect()
        provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
        provider.add_span_processor(self._collect)
        self._tracer = sdk_tracer(provider, scope)
        self._outbox = Outbox[FinishedSpan | bytes]() if outbox is None else outbox
        self._clock = clock
        self._outbox.wake = lambda: self.wake()
        self.wake: Callable[[], None] = lambda: None

    def put(self, span: FinishedSpan) -> None:
        self._outbox.offer(span, 1, _size(span))

    def put_encoded(self, request: bytes, spans: int) -> None:
        self._outbox.offer(request, spans, len(request))

    def export(self, deadline: float) -> float | None:
        for _ in range(_TURN):
            if self._clock() >= deadline:
                break
            parcels = self._outbox.take(_BATCH, self._outbox.most_bytes)
            if not parcels:
                return None
            self._hand_over(parcels)
        return self._clock()

    def counts(self) -> Counts:
        return self._outbox.counts()

    def give_up(self) -> int:
        return self._outbox.close()

    def close(self) -> None:
        self.give_up()
        for exporter in self.exporters:
            exporter.shutdown()

    def _hand_over(self, parcels: list[Parcel[FinishedSpan | bytes]]) -> None:
        taken = False
        try:
            spans: list[ReadableSpan] = []
            for parcel in parcels:
                if isinstance(parcel.item, bytes):
                    spans += decode_request(parcel.item)
                else:
                    replay(self._tracer, parcel.item)
                    spans += self._collect.ended
                    self._collect.ended.clear()
            results = [exporter.export(spans) for exporter in self.exporters]
            taken = SpanExportResult.FAILURE not in results
        finally:
            if taken:
                self._outbox.sent(parcels)
            else:
                self._outbox.drop(parcels, "refused")


def _size(span: FinishedSpan) -> int:
    """Estimate the bytes of a span: what can be long is its notes and its traceback."""
    texts = [v for event in span.events for v in event.attributes.values() if isinstance(v, str)]
    return 512 + len(span.notes) + sum(map(len, texts))
