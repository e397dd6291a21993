"""The other side of a bytes lane, with a clock that stands still."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_celery.lanes.otlp_http import Answer, Verdict

DELIVERED = Answer(Verdict.DELIVERED)


class Clock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakePost:
    """Keeps every body with its timeout; answers as told, else well."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.bodies: list[bytes] = []
        self.timeouts: list[float] = []
        self.answers: deque[Answer] = deque()
        self.takes = 0.0
        self.meanwhile: Callable[[], None] = lambda: None
        self.closed = 0

    def __call__(self, body: bytes, timeout: float) -> Answer:
        self.bodies.append(body)
        self.timeouts.append(timeout)
        self.clock.now += self.takes
        self.meanwhile()
        return self.answers.popleft() if self.answers else DELIVERED

    def close(self) -> None:
        self.closed += 1

    @property
    def names(self) -> list[list[str]]:
        """The spans' names by request."""
        return [
            [
                span.name
                for by_resource in ExportTraceServiceRequest.FromString(body).resource_spans
                for by_scope in by_resource.scope_spans
                for span in by_scope.spans
            ]
            for body in self.bodies
        ]
