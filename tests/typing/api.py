"""How users call us, as a type checker sees it; never run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from celery import Celery
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
from opentelemetry.sdk.trace import ReadableSpan

import otel_celery
from otel_celery import (
    BrokerReading,
    ConfigError,
    MissingExtra,
    OtelCeleryError,
    QueueReader,
    QueueReading,
    Settings,
    instrument,
    uninstrument,
)
from otel_celery.auto import OtelCeleryInstrumentor
from otel_celery.testing import Point, QueueReaderContract, Telemetry

app = Celery("proj")

instrument()
instrument(app)
instrument(app, queue_interval=5.0, queues=["later"], capture="args,result")
instrument(app, metric_exporters=[ConsoleMetricExporter()])
uninstrument()
nothing: None = otel_celery.uninstrument()  # type: ignore[func-returns-value]

instrument(app, [ConsoleMetricExporter()])  # type: ignore[call-arg]


class Kafka:
    """A reader, which need not inherit anything."""

    transports = frozenset({"confluentkafka"})

    def read(self, channel: Any, queues: Iterable[str]) -> list[QueueReading]:
        return [QueueReading(queue, ready=0, oldest_age=0.0) for queue in queues]


class Whole:
    """A reader that knows the broker as well."""

    transports: frozenset[str] = frozenset()

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[QueueReading | BrokerReading]:
        return [BrokerReading(unacked=1), QueueReading("celery", 2)]


class Deaf:
    """No reader: it says something else."""

    transports: frozenset[str] = frozenset()

    def read(self, channel: Any, queues: Iterable[str]) -> list[int]:
        return []


readers: list[QueueReader] = [Kafka(), Whole()]
instrument(app, readers=readers)
instrument(app, readers=[Deaf()])  # type: ignore[list-item]

settings = Settings.from_env(queue_interval=1)
interval: float = settings.queue_interval
waiting: tuple[str, ...] = Settings(queues=("a",)).queues
settings.queue_interval = 2.0  # type: ignore[misc]

reading = QueueReading("celery", 3)
depth: int = reading.ready
age: float = reading.oldest_age  # type: ignore[assignment]

try:
    instrument(names="dup")
except ConfigError as why:
    value_error: ValueError = why
except MissingExtra as why:
    import_error: ImportError = why
except OtelCeleryError as why:
    told: str = str(why)

OtelCeleryInstrumentor().instrument()


def test_add(celery_telemetry: Telemetry) -> None:
    """A test of a user's."""
    spans: list[ReadableSpan] = celery_telemetry.spans
    points: list[Point] = celery_telemetry.metrics
    total: float = celery_telemetry.total("celery.task.outcomes", {"celery.task.state": "success"})
    celery_telemetry.collect(timeout=1.0)
    spans = celery_telemetry.wait_for("process proj.add", timeout=2.0)
    assert spans and points and total  # noqa: PT018 - types are what counts here


class TestKafka(QueueReaderContract):
    """The promises of a reader, kept by a user's own."""

    def reader(self) -> QueueReader:
        return Kafka()

    def connect(self) -> Any:
        return app.connection_for_read()
