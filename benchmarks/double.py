"""What would another worker, like one that was recorded, send now?"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.recording import NAME, Recording, points_of

SECOND_NS = 1_000_000_000


class Stencil:
    """A recorded request, of which names, ids and times are replaced byte by byte.

    All of them keep their length, so that nothing else of the request changes: a thousand workers
    cost one process little. Its ids and times are found once.

    Args:
        body: OTLP.
        ids: trace ids and span ids that are in it.
        times_ns: that move with the clock.
        now_ns: the time at which it was sent.
    """

    def __init__(self, body: bytes, ids: set[bytes], times_ns: set[int], now_ns: int) -> None:
        self._body, self._ids, self._times_ns, self._now_ns = body, ids, times_ns, now_ns

    def cut(self, host: str, ids_of: str, now_ns: int) -> bytes:
        """Return what a host of that name sends now.

        Args:
            host: of as many letters as the recorded one.
            ids_of: equal ids come from equal words.
            now_ns: Unix time.
        """
        body = self._body.replace(NAME.encode(), host.encode())
        mask = hashlib.blake2b(ids_of.encode(), digest_size=16).digest()
        for recorded in self._ids:
            pairs = zip(recorded, mask[: len(recorded)], strict=True)
            body = body.replace(recorded, bytes(one ^ other for one, other in pairs))
        later_ns = now_ns - self._now_ns
        for recorded_ns in self._times_ns:
            body = body.replace(_fixed64(recorded_ns), _fixed64(recorded_ns + later_ns))
        return body


def _fixed64(time_ns: int) -> bytes:
    return struct.pack("<Q", time_ns)


class Pattern:
    """What all doubles of a worker share.

    Attributes:
        points: of one request with metrics.
        spans: of each second of the recorded load.
    """

    def __init__(self, recording: Recording) -> None:
        points = [point for each in points_of(recording.metrics).values() for point in each]
        times = {point.time_unix_nano for point in points}
        self.points = len(points)
        self.metrics = Stencil(recording.metrics, set(), times, max(times))
        self.spans: list[int] = []
        self.traces: list[Stencil] = []
        for number, body in enumerate(recording.traces):
            spans = list(_spans_of(body))
            ids = {one for span in spans for one in _ids_of(span)}
            times = {span.start_time_unix_nano for span in spans}
            times |= {span.end_time_unix_nano for span in spans}
            sent_ns = recording.began_ns + (number + 1) * SECOND_NS
            self.traces.append(Stencil(body, ids, times, sent_ns))
            self.spans.append(len(spans))


class Double:
    """A worker that sends what was recorded under a name of its own, with new ids, now."""

    def __init__(self, pattern: Pattern, number: int) -> None:
        self.host = f"w{number:0{len(NAME) - 1}}"
        self._pattern, self._turn = pattern, 0

    def metrics(self, now_ns: int) -> tuple[bytes, int]:
        """Return what it sends at each interval, and how many points are in it."""
        return self._pattern.metrics.cut(self.host, "", now_ns), self._pattern.points

    def traces(self, now_ns: int) -> tuple[bytes, int]:
        """Return what worker and publisher send after their next second, and how many spans."""
        turn, self._turn = self._turn, self._turn + 1
        loop, second = divmod(turn, len(self._pattern.traces))
        body = self._pattern.traces[second].cut(self.host, f"{self.host} {loop}", now_ns)
        return body, self._pattern.spans[second]


def _spans_of(body: bytes) -> Iterator[Any]:
    for by_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for by_scope in by_resource.scope_spans:
            yield from by_scope.spans


def _ids_of(span: Any) -> Iterator[bytes]:
    yield from filter(None, (span.trace_id, span.span_id, span.parent_span_id))
    for link in span.links:
        yield from (link.trace_id, link.span_id)
