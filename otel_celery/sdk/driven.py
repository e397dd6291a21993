"""How do metrics leave that somebody else has read?"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)

from otel_celery.lanes.otlp_http import Answer, OtlpHttp, Verdict
from otel_celery.sdk.points import CellPoints, takes_cells

_logger = logging.getLogger(__name__)

_SOON = 0.5  # seconds between two attempts while somebody waits
_BETWEEN_COMPLAINTS = 60.0


class Post(Protocol):
    """One attempt to deliver a request, see `otlp_http.OtlpHttp`."""

    def __call__(self, body: bytes, timeout: float) -> Answer: ...


class Driven(PeriodicExportingMetricReader):
    """Exports when it is told to, apart from reading: that is done behind a gate.

    Args:
        exporter: says what it prefers, and exports unless there is a `post`.
        post: makes one attempt. The SDK's exporter over HTTP has no such thing: it tries again for
            ten seconds, whatever time it is given, and metrics need no second attempt, because the
            next reading has them all.
        where: the endpoint as it may be shown in a log.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        post: Post | None = None,
        where: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # An interval of infinity is the SDK's way to say: no thread, somebody calls collect().
        super().__init__(exporter, export_interval_millis=math.inf)
        self._post, self._where, self._clock = post, where, clock
        self.takes_cells = takes_cells(exporter)
        self.points: CellPoints | None = None
        """Adds the series that the SDK does not keep."""
        self.apart: AbstractContextManager[object] = nullcontext()
        """Entered while the SDK's exporter exports; set by the owner."""
        self._complained_at = -math.inf
        self._read: MetricsData | None = None

    @classmethod
    def over_http(cls, make_exporter: Callable[..., MetricExporter]) -> Driven:
        """Return one that makes one attempt with what the SDK's exporter would send.

        Raises:
            ConfigError: it would send nothing, as to an endpoint without `http://`.
        """
        post = OtlpHttp.from_env(make_exporter, "METRICS", MetricsData([]))
        return cls(make_exporter(), post, post.target.shown)

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        self._read = metrics_data

    def read(self) -> None:
        """Read all there is; whoever calls holds the gate."""
        self._read = None
        self.collect()
        if self.points is not None:
            self._read = self.points.added_to(self._read)

    def export(self, timeout: float) -> float | None:
        """Export what was read last; what could not be exported is in the next reading.

        Args:
            timeout: seconds.

        Returns:
            After how many seconds it is worth another try, None where there is no need.
        """
        read, self._read = self._read, None
        if read is None:
            return None
        if self._post is None:
            with self.apart:
                super()._receive_metrics(read, timeout * 1000)
            return None
        answer = self._post(encode_metrics(read).SerializeToString(), timeout)
        if answer.verdict is not Verdict.DELIVERED or answer.rejected:
            self._complain(answer.reason or f"{answer.rejected} points were rejected")
        return max(_SOON, answer.retry_after or 0.0) if answer.verdict is Verdict.AGAIN else None

    def _complain(self, what: str) -> None:
        now = self._clock()
        if now - self._complained_at >= _BETWEEN_COMPLAINTS:
            self._complained_at = now
            _logger.warning("Metrics do not get through to %s: %s.", self._where, what)
