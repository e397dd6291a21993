"""Which points do readings of queues become?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from otel_celery import conventions as c
from otel_celery.queue_metrics import QueueMetrics
from otel_celery.queues import BrokerReading, QueueReading
from otel_celery.settings import Settings
from tests.unit.stand_ins import Readings, memory_app


class Script:
    """A reader that says what a test tells it to."""

    transports = frozenset({"memory"})

    def __init__(self) -> None:
        self.says: list[Any] = []
        self.asked: list[list[str]] = []
        self.fault: Exception | None = None
        self.close_first: Callable[[], object] = list

    def read(self, channel: Any, queues: Iterable[str]) -> list[Any]:
        self.asked.append(sorted(queues))
        self.close_first()
        if self.fault is not None:
            raise self.fault
        return self.says


@pytest.fixture
def readings() -> Iterator[Readings]:
    made = Readings()
    yield made
    made.provider.shutdown()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def queues(readings: Readings, script: Script) -> Iterator[QueueMetrics]:
    app = memory_app()
    app.conf.task_default_queue = "mail"
    made = QueueMetrics(
        app, Settings(queues=("extra",)), readings.instruments, [script], lambda: ["video"]
    )
    made.observe()
    yield made
    made.close()
    app.close()


def read(queues: QueueMetrics) -> None:
    queues.poll(math.inf)


def test_a_reading_becomes_points(queues: QueueMetrics, script: Script, readings: Readings):
    script.says = [
        QueueReading("mail", 5, unacked=2, delayed=1, consumers=3, oldest_age=7.5),
        BrokerReading(oldest_unacked_age=30.0),
    ]
    read(queues)
    assert script.asked == [["extra", "mail", "video"]]
    keys = (c.MESSAGING_SYSTEM, c.QUEUE)
    assert readings.values(c.QUEUE_DEPTH, *keys, c.QUEUE_STATE) == {
        ("memory", "mail", "ready"): 5,
        ("memory", "mail", "unacked"): 2,
        ("memory", "mail", "delayed"): 1,
    }
    assert readings.values(c.OLDEST_MESSAGE, *keys) == {("memory", "mail"): 7.5}
    assert readings.values(c.QUEUE_CONSUMERS, *keys) == {("memory", "mail"): 3}
    assert readings.values(c.OLDEST_UNACKED, *keys) == {("memory", None): 30.0}
    assert readings.values(c.PROBE_DURATION, c.MESSAGING_SYSTEM, c.ERROR_TYPE) == {
        ("memory", None): 1
    }


def test_what_cannot_be_known_has_no_point(
    queues: QueueMetrics, script: Script, readings: Readings
):
    """And an empty queue is one of zero."""
    script.says = [QueueReading("mail", 0), BrokerReading()]
    read(queues)
    assert readings.values(c.QUEUE_DEPTH, c.QUEUE_STATE) == {("ready",): 0}
    for metric in (c.OLDEST_MESSAGE, c.QUEUE_CONSUMERS, c.OLDEST_UNACKED):
        assert readings.points(metric) == []


def test_what_only_the_broker_knows_is_of_no_queue(
    queues: QueueMetrics, script: Script, readings: Readings
):
    script.says = [BrokerReading(unacked=4)]
    read(queues)
    assert readings.values(c.QUEUE_DEPTH, c.QUEUE, c.QUEUE_STATE) == {(None, "unacked"): 4}


def test_a_reader_that_fails_gives_a_probe_and_no_depth(
    queues: QueueMetrics, script: Script, readings: Readings
):
    """Never a stale value, never a zero."""
    script.fault = OSError("gone")
    read(queues)
    assert readings.points(c.QUEUE_DEPTH) == []
    assert readings.values(c.PROBE_DURATION, c.ERROR_TYPE) == {("OSError",): 1}


def test_the_last_seconds_of_a_process_are_not_for_reading(queues: QueueMetrics, script: Script):
    queues.poll(12.5)
    assert script.asked == []


def test_only_who_is_told_to_reads(readings: Readings, script: Script):
    app = memory_app()
    queues = QueueMetrics(
        app, Settings(), readings.instruments, [script], lambda: ["mail"], lambda: False
    )
    read(queues)
    queues.close()
    app.close()
    assert script.asked == []


def test_a_stop_does_not_take_the_connection_from_who_reads(queues: QueueMetrics, script: Script):
    """The courier may be in the middle of a round; the connection ends with the process then."""
    script.close_first = queues.close
    read(queues)
    assert queues._poller._connection.connected
    assert script.asked == [["extra", "mail", "video"]]


def test_after_the_end_nothing_is_read(queues: QueueMetrics, script: Script):
    queues.close()
    read(queues)
    assert script.asked == []
