"""How do log records leave through the SDK, to any exporter?"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import pytest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource

from otel_celery.lanes import Counts
from otel_celery.lanes.reference_logs import ReferenceLogLane
from otel_celery.log_records import Running, encode_record

RESOURCE = Resource({"service.name": "shop"})


def part(*words: str) -> bytes:
    made = [logging.LogRecord("shop", 20, "", 1, word, (), None) for word in words]
    where = Running(1, 2, 1, "id-1", "shop.pay")
    return b"".join(encode_record(one, where, 5) for one in made)


class Keeping(LogRecordExporter):
    """Keeps what it gets, and answers as told."""

    def __init__(self) -> None:
        self.kept: list[ReadableLogRecord] = []
        self.result = LogRecordExportResult.SUCCESS
        self.closed = False

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self.kept += batch
        return self.result

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return True

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture
def exporter() -> Keeping:
    return Keeping()


@pytest.fixture
def lane(exporter: Keeping) -> ReferenceLogLane:
    return ReferenceLogLane([exporter], RESOURCE)


def test_each_exporter_gets_the_records_of_the_sdk(lane: ReferenceLogLane, exporter: Keeping):
    lane.put_part(part("a", "b"), 2)
    lane.put_part(part("c"), 1)
    assert lane.export(math.inf) is None
    assert [one.log_record.body for one in exporter.kept] == ["a", "b", "c"]
    (first, *_) = exporter.kept
    assert first.resource == RESOURCE
    assert (first.log_record.trace_id, first.log_record.span_id) == (1, 2)
    assert dict(first.log_record.attributes or {})["celery.task.id"] == "id-1"
    assert lane.counts() == Counts(3, {}, 0, 50_000)


def test_what_an_exporter_fails_to_take_is_counted(lane: ReferenceLogLane, exporter: Keeping):
    exporter.result = LogRecordExportResult.FAILURE
    lane.put_part(part("a", "b"), 2)
    assert lane.export(math.inf) is None
    assert lane.counts() == Counts(0, {"refused": 2}, 0, 50_000)


def test_after_its_time_nothing_is_begun(exporter: Keeping):
    lane = ReferenceLogLane([exporter], RESOURCE, lambda: 10.0)
    lane.put_part(part("a"), 1)
    assert lane.export(10.0) == 10.0
    lane.close()
    assert (exporter.kept, exporter.closed) == ([], True)
    assert lane.counts() == Counts(0, {"closed": 1}, 0, 50_000)
