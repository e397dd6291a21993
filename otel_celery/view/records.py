"""What is a span, a counter and a histogram, once it has been read from OTLP?"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint
from opentelemetry.proto.trace.v1 import trace_pb2

from otel_celery import conventions as c

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
SECOND = 10**9  # nanoseconds; whole, so that division is exact to the last bit


class Failure(NamedTuple):
    """The last exception that a span recorded."""

    type: str
    message: str
    traceback: str  # empty: it had none


class Span(NamedTuple):
    """A span as it arrived; instants are Unix seconds, ids are hexadecimal."""

    trace_id: str
    span_id: str
    parent_id: str  # empty: a root
    name: str
    kind: str
    start: float
    end: float
    service: str
    error: str = ""  # empty: no error status; else its description or "error"
    attributes: Mapping[str, object] = {}
    failure: Failure | None = None
    links: tuple[tuple[str, str], ...] = ()  # trace and span ids


class Series(NamedTuple):
    """What tells one stream of points from another."""

    name: str
    attributes: frozenset[tuple[str, object]]
    service: str
    instance: str  # service.instance.id

    def get(self, key: str) -> object:
        """Return the attribute's value, None when the series has none."""
        return next((value for name, value in self.attributes if name == key), None)


@dataclass(frozen=True)
class Number:
    """The latest value of a counter or gauge, and when it was true."""

    value: float
    at: float

    def __add__(self, later: Number) -> Number:
        return Number(self.value + later.value, max(self.at, later.at))


@dataclass(frozen=True)
class Histogram:
    """The latest cumulative state of a histogram: one count more than bounds."""

    count: int
    total: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    at: float

    def __add__(self, other: Histogram) -> Histogram:
        """Return both as one; without buckets where their bounds differ."""
        counts: tuple[int, ...] = ()
        bounds: tuple[float, ...] = ()
        if self.bounds == other.bounds:
            bounds = self.bounds
            counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        latest = max(self.at, other.at)
        return Histogram(self.count + other.count, self.total + other.total, bounds, counts, latest)


class Snapshot(NamedTuple):
    """All that was known at one moment; nothing in it changes any more."""

    numbers: Mapping[Series, Number]
    histograms: Mapping[Series, Histogram]
    traces: Mapping[str, Mapping[str, Span]]  # trace id -> span id -> span


def read_span(span: trace_pb2.Span, service: str) -> Span:
    failed = span.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=KINDS.get(span.kind, "internal"),
        start=span.start_time_unix_nano / SECOND,
        end=span.end_time_unix_nano / SECOND,
        service=service,
        error=(span.status.message or "error") if failed else "",
        attributes=attributes(span.attributes),
        failure=read_failure(span),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
    )


def read_failure(span: trace_pb2.Span) -> Failure | None:
    for event in reversed(span.events):
        if event.name == c.EXCEPTION:
            told = attributes(event.attributes)
            keys = c.EXCEPTION_TYPE, c.EXCEPTION_MESSAGE, c.EXCEPTION_STACKTRACE
            return Failure(*(str(told.get(key, "")) for key in keys))
    return None


def read_series(
    name: str, point: NumberDataPoint | HistogramDataPoint, service: str, instance: str
) -> Series:
    return Series(name, frozenset(attributes(point.attributes).items()), service, instance)


def read_number(point: NumberDataPoint) -> Number:
    value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    return Number(value, point.time_unix_nano / SECOND)


def read_histogram(point: HistogramDataPoint) -> Histogram:
    bounds, counts = tuple(point.explicit_bounds), tuple(point.bucket_counts)
    return Histogram(point.count, point.sum, bounds, counts, point.time_unix_nano / SECOND)


def attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {sys.intern(pair.key): read_value(pair.value) for pair in pairs}


def read_value(value: AnyValue) -> object:
    """Return the value as Python knows it; lists become tuples, so that all can be keys."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(read_value(item) for item in value.array_value.values)
    if kind == "kvlist_value":
        return tuple((pair.key, read_value(pair.value)) for pair in value.kvlist_value.values)
    return getattr(value, kind)
