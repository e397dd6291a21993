"""What does a process need that exports?

A speaker that turns facts into spans and points, couriers that send them, and lanes between.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry import trace

from otel_celery import sdk
from otel_celery.contrib import CONTRIB
from otel_celery.contrib_runtimes import measure_runtimes
from otel_celery.courier import Courier
from otel_celery.guard import Guard, logger
from otel_celery.lane_metrics import LOG_ROWS, LaneMetrics
from otel_celery.lanes import Lane, LogLane, NoLane, TakesSpans
from otel_celery.lanes.batches import Batches
from otel_celery.lanes.inherited import renew_connections
from otel_celery.lanes.renamed import Renamed
from otel_celery.sdk.driven import Driven
from otel_celery.sdk.system_metrics import observe_process
from otel_celery.settings import Settings
from otel_celery.spans import Identity
from otel_celery.speaker import Speaker
from otel_celery.wire import Ear

_EXPORT_INTERVAL = 1.0  # seconds between two exports of spans
_LAST_WORD = 1 / 6  # of the time for a stop: for metrics, when all the rest took too long


class Exporter:
    """Speaker, couriers and what they need: one of each process that exports.

    Args:
        settings: of the deployment.
        guard: keeps faults.
        instance_id: `service.instance.id`.
        service: `service.name` unless a variable gives one.
        attributes: further ones of the resource.
        identity: of the worker.
        ear: where its pool processes are heard.
        metric_exporters: further ones, from code.
        gate: keeps forks apart from what exporters of the SDK do, of which some do not bear one.
        serve: whether it may open Prometheus' port, as a worker always may.
    """

    def __init__(
        self,
        settings: Settings,
        guard: Guard,
        instance_id: str,
        service: str,
        attributes: dict[str, str],
        identity: Identity = Identity(),  # noqa: B008 - immutable
        ear: Ear | None = None,
        metric_exporters: Sequence[Any] = (),
        gate: AbstractContextManager[object] = nullcontext(),  # noqa: B008 - keeps nothing
        serve: bool = False,
    ) -> None:
        self.resource = sdk.build_resource(instance_id, service, **attributes)
        self.lane = sdk.build_span_lane(self.resource, trace.get_tracer_provider())
        self.metering = sdk.build_meter_provider(
            self.resource, metric_exporters, serve=serve or bool(identity.worker)
        )
        self.instruments = self.metering.instruments()
        # Log records are those of tasks: only a worker has any.
        self.logs: LogLane = sdk.build_log_lane(self.resource) if identity.worker else NoLane()
        self._senders = (self.lane, self.logs, *self.metering.pushed)
        for sender in self._senders:
            if isinstance(sender, Batches | Driven):
                sender.apart = gate
        LaneMetrics(self.lane).observe(self.instruments)
        LaneMetrics(self.logs, LOG_ROWS).observe(self.instruments)
        spans: TakesSpans = self.lane
        capture = settings.capture
        if settings.names != "semconv":  # what they say of a message is read where arguments are
            spans, capture = Renamed(self.lane, settings.names), (*capture, CONTRIB)
            measure_runtimes(self.instruments, settings.names, identity.worker)
        self.speaker = Speaker(guard, spans, self.instruments, identity, ear, capture, self.logs)
        self.courier = Courier(guard.report)
        self.rounds = Courier(guard.report, name="otel-celery-rounds")
        """For metrics and queues: an endpoint of theirs that is silent must not cost a span."""
        self.lane.wake = self.courier.every(_EXPORT_INTERVAL, self.lane.export)
        self.logs.wake = self.courier.every(_EXPORT_INTERVAL, self.logs.export)
        self._budget = settings.flush_timeout
        self._stopped = False

    def start(self) -> None:
        """Start the three threads; after the last fork that is known of."""
        observe_process(self.metering.provider)
        self.rounds.every(self.metering.interval, self.metering.collect)
        self.speaker.start()
        self.courier.start()
        self.rounds.start()

    def let_go(self) -> None:
        """In a fork, which makes an exporter of its own: end without waiting for this one."""
        for sender in self._senders:
            renew_connections(sender)

    def flush(self, timeout: float) -> bool:
        """Tell and export what is there by now."""
        end = time.monotonic() + timeout
        self.speaker.speak()
        well = self.courier.flush(timeout)
        return self.rounds.flush(max(end - time.monotonic(), 0.0)) and well

    def stop(self, seconds: float | None = None) -> None:
        """Tell what is left and export it, within the flush timeout or these seconds; once."""
        if self._stopped:
            return
        self._stopped = True
        budget = self._budget if seconds is None else seconds
        end = time.monotonic() + budget
        self.speaker.stop(budget / 2)
        self.courier.flush(max(end - budget * _LAST_WORD - time.monotonic(), 0.0))
        self.courier.stop()
        self._give_up(self.lane, "spans")
        self._give_up(self.logs, "log records")
        self.rounds.flush(max(end - time.monotonic(), 0.0))  # with what was given up
        self.rounds.stop()
        self.metering.close()

    def _give_up(self, lane: Lane, what: str) -> None:
        if lost := lane.give_up():
            logger.warning(
                "otel-celery: %d %s did not get through within the %g s of"
                " OTEL_CELERY_FLUSH_TIMEOUT and are lost; %d were dropped in all.",
                lost,
                what,
                self._budget,
                sum(lane.counts().dropped.values()),
            )
