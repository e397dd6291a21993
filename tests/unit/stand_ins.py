"""What stands in for a process, a lane and a message where a test needs no real one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.worker.request import create_request_cls
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource

from otel_celery import conventions as c
from otel_celery.conventions import Metric
from otel_celery.envelope import WHEN_SET, Trace
from otel_celery.facts import Broker, Delivery, Ended, Failure, Published, made
from otel_celery.guard import Guard
from otel_celery.metrics import Instruments
from otel_celery.sampling import Decider, Decision
from otel_celery.sdk.driven import Driven
from otel_celery.sdk.metrics import Metering
from otel_celery.span import FinishedSpan

LANES = ("cells", "reference")  # of metrics
REDIS = Broker("redis", "broker.example", 6379)
SENDER = Trace("ab" * 16, "cd" * 8, True)
OWN = Trace("ab" * 16, "0123456789abcdef", True)
BAD = Failure("KeyError", "builtins.KeyError", "'x'", "")
NS = 1_000_000_000
SENT = 1_700_000_000  # Unix seconds


class Voice:
    """A process whose facts go into a list."""

    def __init__(self) -> None:
        self.guard = Guard()
        self.baggage: Any = None
        self.structure = "parent"
        self.decide: Any = Decider()
        self.told: list[Any] = []

    def tell(self, told: Any) -> None:
        self.told.append(made(told))


class Asked(Decider):
    """Decides as a function does, which is asked for each span."""

    def __init__(self, answer: Callable[..., Decision]) -> None:
        super().__init__()
        self.by_parent = False
        self._answer = answer

    def __call__(self, *told: Any) -> Decision:
        return self._answer(*told)


class Lane:
    """A lane that keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[FinishedSpan] = []
        self.requests: list[tuple[bytes, int]] = []
        self.wake = lambda: None

    def put(self, span: FinishedSpan) -> None:
        self.spans.append(span)

    def put_encoded(self, request: bytes, spans: int) -> None:
        self.requests.append((request, spans))


class KeepingMetrics(MetricExporter):
    """Keeps what it was given and how long it might take."""

    def __init__(self, **preferred: Any) -> None:
        super().__init__(**preferred)
        self.exported: list[MetricsData] = []
        self.timeouts: list[float] = []

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any
    ) -> MetricExportResult:
        self.exported.append(metrics_data)
        self.timeouts.append(timeout_millis)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing to close."""


class Readings:
    """Instruments on a private provider, and what an exporter would see of them.

    Args:
        lane: "cells", or "reference" for the SDK's own instruments.
    """

    def __init__(self, lane: str = "cells") -> None:
        self._exporter = KeepingMetrics()
        self._metering = Metering(Resource({}), [Driven(self._exporter)])
        self.provider = self._metering.provider
        self.instruments = self._metering.instruments()
        if lane == "reference":
            self.instruments = Instruments(self.provider.get_meter(c.SCOPE))

    def metrics(self) -> list[Any]:
        """Collect, and return all metrics."""
        self._exporter.exported.clear()
        self._metering.collect(math.inf)
        return [
            metric
            for data in self._exporter.exported
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def points(self, metric: Metric) -> list[Any]:
        """Collect, and return the points of one metric."""
        return [
            point
            for found in self.metrics()
            if found.name == metric.name
            for point in found.data.data_points
        ]

    def values(self, metric: Metric, *keys: str) -> dict[Any, float]:
        """Collect, and return the values by some of their attributes: {(key, ...): value}.

        A histogram's value is how often something was recorded.
        """
        found: dict[Any, float] = {}
        for point in self.points(metric):
            key = tuple(point.attributes.get(name) for name in keys)
            found[key] = found.get(key, 0) + getattr(point, "value", getattr(point, "count", 0))
        return found


def delivery(
    name: str = "shop.pay",
    *,
    ran: float | None = 0.0,
    own: Trace = OWN,
    parent: Trace | None = SENDER,
    link: Trace | None = None,
    **noted: Any,
) -> Delivery:
    """Return a delivery that arrived a second after it was sent, and began one after that.

    Args:
        name: of its task.
        ran: seconds after which a test ends it, for the clock; None: it never began.
        own: context of its span.
        parent: of its span.
        link: of its span.
        noted: any other field.
    """
    sender = link or parent
    of = Delivery(
        name,
        "id-1",
        "mail",
        REDIS,
        own.header(),
        own.state,
        (sender.header(), sender.state) if sender else None,
        (SENT + 1) * NS,
    )
    of.sent_at, of.linked = float(SENT), link is not None
    if ran is not None:
        of.start_ns, of.start_mono, of.pid = (SENT + 2) * NS, 50 * NS, 4242
    for field, value in noted.items():
        setattr(of, field, value)
    return of


def ended(of: Delivery, state: str = "success", failure: Failure | None = None, **said: Any) -> Any:
    """Return the last word on a delivery; it ran for three seconds if it ran at all."""
    told: dict[str, Any] = {
        "error_type": failure.type if failure else None,
        "error": failure is not None,
        "expected": False,
        "end_ns": of.start_ns + 3 * NS if of.begun else of.received_ns,
        "end_mono": of.start_mono + 3 * NS if of.begun else 0,
    }
    told.update(said)
    return Ended(of, state, failure=(lambda: failure) if failure else None, **told)


def published(**said: Any) -> Published:
    """Return a publish of two milliseconds."""
    told: dict[str, Any] = {
        "task": "shop.pay",
        "id": "id-1",
        "queue": "mail",
        "broker": REDIS,
        "own": SENDER,
        "parent_id": "0" * 16,
        "link": None,
        "start_ns": SENT * NS,
        "duration_ns": 2_000_000,
        "failure": None,
        "told": (None,) * len(WHEN_SET),
        "added": {},
    }
    return Published(**{**told, **said})


def memory_app(name: str = "shop") -> Celery:
    """Return an app of its own, whose broker is this process's memory."""
    app = Celery(name, broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_default_queue = f"{name}-{time.monotonic_ns()}"  # the memory is one for all
    return app


def next_message(app: Celery) -> Any:
    """Take the next message of an app's default queue."""
    with app.connection_for_read() as connection:
        return connection.default_channel.basic_get(app.conf.task_default_queue)


class Pool:
    """A pool that runs nothing: a test calls back what it would."""

    def apply_async(self, *args: Any, **options: Any) -> None:
        """Take a task and keep still."""

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Kill nobody."""


def make_request(task: Any, base: type, **publish: Any) -> Any:
    """Send a task, and return what a worker's main would make of the message.

    Args:
        task: whose message goes through the memory of its app.
        base: the task's Request class.
        publish: options of `apply_async`.
    """
    task.apply_async(**publish)
    return request_of(task, base, next_message(task.app))


def request_of(task: Any, base: type, message: Any) -> Any:
    """Return the request of a message, by the class that Celery makes for the task."""
    made = create_request_cls(base, task, Pool(), "w@host", None, app=task.app)
    settled: list[str] = []
    request = made(
        message,
        app=task.app,
        task=task,
        hostname="w@host",
        headers=message.headers,
        body=message.body,
        on_ack=lambda *_: settled.append("acknowledged"),
        on_reject=lambda _, __, requeue: settled.append("requeued" if requeue else "rejected"),
    )
    request.settled = settled
    return request
