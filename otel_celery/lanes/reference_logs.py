"""How do log records leave through the SDK, to any exporter?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from otel_celery.lanes.batches import Batches
from otel_celery.lanes.readable import decode_value


class ReferenceLogLane(Batches[bytes]):
    """Log records as the SDK's, see `Batches`.

    Args:
        exporters: each gets every record.
        resource: of the records.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        exporters: Sequence[LogRecordExporter],
        resource: Resource,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            exporters,
            lambda parts: decode_records(b"".join(parts), resource),
            LogRecordExportResult.FAILURE,
            clock=clock,
        )

    def put_part(self, part: bytes, items: int) -> None:
        self._outbox.offer(part, items, len(part))


def decode_records(parts: bytes, resource: Resource) -> list[ReadableLogRecord]:
    """Return the records that `log_records.encode_record` wrote.

    Raises:
        google.protobuf.message.DecodeError: these are no such bytes.
    """
    return [
        ReadableLogRecord(_decode(one), resource, InstrumentationScope(by_scope.scope.name))
        for by_scope in logs_pb2.ResourceLogs.FromString(parts).scope_logs
        for one in by_scope.log_records
    ]


def _decode(one: logs_pb2.LogRecord) -> LogRecord:
    span = SpanContext(
        int.from_bytes(one.trace_id, "big"),
        int.from_bytes(one.span_id, "big"),
        is_remote=False,
        trace_flags=TraceFlags(one.flags),
    )
    return LogRecord(
        timestamp=one.time_unix_nano,
        observed_timestamp=one.observed_time_unix_nano,
        context=set_span_in_context(NonRecordingSpan(span), Context()),
        severity_text=one.severity_text,
        severity_number=SeverityNumber(one.severity_number),
        body=decode_value(one.body),
        attributes={pair.key: decode_value(pair.value) for pair in one.attributes},
    )
