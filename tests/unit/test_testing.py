"""What the fixture for users' tests sees, and what the contract for readers forbids."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu import Connection
from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind

import otel_celery
from otel_celery import bootstrap
from otel_celery.queues.generic import MemoryReader
from otel_celery.queues.reading import QueueReader, QueueReading
from otel_celery.testing import QueueReaderContract, Telemetry
from otel_celery.testing.memory import Recorder, quiet
from tests.waiting import eventually

NOT_NEGATIVE = "test_no_number_is_negative_and_nothing_waits_in_an_empty_queue"
SUCCESS = {"celery.task.state": "success"}


@pytest.fixture
def app() -> Iterator[Celery]:
    """Yield an app with a broker of this process and one task, `add`."""
    made = Celery("proj", broker="memory://", backend="cache+memory://", set_as_current=False)
    made.conf.broker_transport_options = {"polling_interval": 0.01}

    @made.task(name="proj.add", shared=False)  # type: ignore[untyped-decorator]
    def add(x: int, y: int) -> int:
        with trace.get_tracer("proj").start_as_current_span("inner"):
            metrics.get_meter("proj").create_counter("proj.added").add(x + y)
            return x + y

    yield made
    with made.connection() as connection:
        connection.default_channel.queues.clear()
        connection.transport.state.clear()
    made.close()


def names(telemetry: Telemetry) -> list[str]:
    return sorted(span.name for span in telemetry.spans)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_sees_its_own_spans_and_points(
    celery_telemetry: Telemetry, app: Celery, turn: str
) -> None:
    """Nothing of the test before is left, in spans, sums or providers."""
    assert app.tasks["proj.add"].apply((1, 2)).get() == 3
    inner, process = celery_telemetry.spans
    assert (inner.name, process.name) == ("inner", "process proj.add")
    assert inner.parent is not None
    assert process.context is not None
    assert inner.parent.span_id == process.context.span_id
    assert celery_telemetry.total("proj.added") == 3
    app.tasks["proj.add"].delay(1, 2)
    assert celery_telemetry.total("messaging.client.sent.messages") == 1


def test_an_eager_app_sends_nothing(celery_telemetry: Telemetry, app: Celery) -> None:
    """`task_always_eager` runs the task in its caller."""
    app.conf.task_always_eager = True
    assert app.tasks["proj.add"].delay(1, 2).get() == 3
    assert names(celery_telemetry) == ["inner", "process proj.add"]
    assert celery_telemetry.total("messaging.client.sent.messages") == 0


def test_a_worker_in_a_thread_is_seen_to_the_end(celery_telemetry: Telemetry, app: Celery) -> None:
    """What has a result has been told; the worker's stop loses nothing."""
    with start_worker(app, perform_ping_check=False):
        assert app.tasks["proj.add"].delay(1, 2).get(timeout=10) == 3
        assert names(celery_telemetry) == ["inner", "process proj.add", "publish proj.add"]
        assert celery_telemetry.total("celery.task.outcomes", SUCCESS) == 1
    app.tasks["proj.add"].delay(1, 2)
    assert names(celery_telemetry).count("publish proj.add") == 2
    assert celery_telemetry.total("celery.task.outcomes", SUCCESS) == 1
    assert celery_telemetry.total("messaging.process.duration") == 1
    assert celery_telemetry.total("proj.added") == 3


def test_a_task_whose_result_nobody_asks_for_can_be_waited_for(
    celery_telemetry: Telemetry, app: Celery
) -> None:
    """By the name of its span."""
    with start_worker(app, perform_ping_check=False):
        app.tasks["proj.add"].apply_async((1, 2), ignore_result=True)
        found = celery_telemetry.wait_for("process proj.add", "inner", timeout=10)
    assert [span.kind for span in found if span.name == "process proj.add"] == [SpanKind.CONSUMER]


def test_waiting_in_vain_says_what_there_is(celery_telemetry: Telemetry, app: Celery) -> None:
    """A name that is wrong is seen beside those that are right."""
    app.tasks["proj.add"].delay(1, 2)
    with pytest.raises(AssertionError) as told:
        celery_telemetry.wait_for("run", timeout=0.0)
    assert str(told.value) == "after 0.0 s no span ['run']; there are ['publish proj.add']"


def test_nothing_is_kept_and_no_thread_is_left_after_a_test(
    monkeypatch: pytest.MonkeyPatch, app: Celery
) -> None:
    """Spans that end later are nobody's; ours is switched off, with what it started."""
    quiet(monkeypatch)
    with Recorder().recording() as telemetry:
        app.tasks["proj.add"].delay(1, 2)
    with trace.get_tracer("proj").start_as_current_span("later"):
        pass
    assert [span.name for span in telemetry.spans] == ["publish proj.add"]
    eventually(lambda: not [one for one in threading.enumerate() if "otel" in one.name.lower()])
    assert bootstrap.replace(None) is None


def test_what_the_application_switched_on_comes_back(
    monkeypatch: pytest.MonkeyPatch, app: Celery
) -> None:
    """Its own `instrument()` at import pauses for the test."""
    quiet(monkeypatch)
    otel_celery.instrument(app)
    try:
        with Recorder().recording() as telemetry:
            otel_celery.instrument(app)  # changes nothing
            app.tasks["proj.add"].delay(1, 2)
            assert names(telemetry) == ["publish proj.add"]
        of_the_app = bootstrap.replace(None)
        assert of_the_app is not None
        assert of_the_app.here.exporter is None, "it has exported nothing"
    finally:
        otel_celery.uninstrument()


LOADED = """
import json, sys, threading
import otel_celery.testing
heavy = ("celery", "opentelemetry.sdk", "kombu", "requests", "redis")
print(json.dumps([[name for name in heavy if name in sys.modules], threading.active_count()]))
"""


def test_a_run_of_pytest_pays_next_to_nothing_for_the_fixture() -> None:
    """The entry point loads it in every run, with Celery or without."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == [[], 1]


class TestMemoryReader(QueueReaderContract):
    """Our own reader of this process's queues keeps the contract."""

    read_by: type[Any] = MemoryReader

    def reader(self) -> QueueReader:
        made: QueueReader = self.read_by()
        return made

    def connect(self) -> Connection:
        return Connection("memory://", transport_options={"polling_interval": 0.01})

    def census(self) -> Any:
        held = self.connection.default_channel.queues
        return {name: list(queue.queue) for name, queue in held.items()}


class Declaring(MemoryReader):
    """Makes what it reads."""

    def read(self, channel: Any, queues: Any) -> Sequence[QueueReading]:
        for name in queues:
            channel.queue_declare(name)
        return super().read(channel, queues)


class Taking(MemoryReader):
    """Looks at a message by taking it."""

    def read(self, channel: Any, queues: Any) -> Sequence[QueueReading]:
        found = super().read(channel, queues)
        for name in queues:
            if channel.queues.get(name):
                channel.queues[name].get_nowait()
        return found


class Guessing(MemoryReader):
    """Says 0 for what it does not know."""

    def read(self, channel: Any, queues: Any) -> Sequence[QueueReading]:
        return [QueueReading(name, 0, oldest_age=-1.0) for name in queues]


class Silent(MemoryReader):
    """Hides its errors."""

    def read(self, channel: Any, queues: Any) -> Sequence[QueueReading]:
        return super().read(channel, queues) if hasattr(channel, "queues") else []


class Nameless(MemoryReader):
    """Cannot be found."""

    transports: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("reader", "promise"),
    [
        pytest.param(Declaring, "test_an_unknown_queue_is_not_made_and_hides_no_other", id="makes"),
        pytest.param(Taking, "test_reading_changes_nothing", id="takes"),
        pytest.param(Guessing, "test_ready_is_what_was_published", id="guesses"),
        pytest.param(
            Guessing,
            NOT_NEGATIVE,
            id="negative",
        ),
        pytest.param(Silent, "test_it_works_again_after_an_error", id="hides"),
        pytest.param(Nameless, "test_it_names_the_transport_that_it_reads", id="nameless"),
    ],
)
def test_a_reader_that_breaks_a_promise_is_found_out(reader: type[Any], promise: str) -> None:
    """Each promise can fail."""
    case = TestMemoryReader()
    case.read_by = reader
    opened = QueueReaderContract._connected.__wrapped__(case)  # type: ignore[attr-defined]
    next(opened)
    with pytest.raises((AssertionError, pytest.fail.Exception, AttributeError)):
        getattr(case, promise)()
    with pytest.raises(StopIteration):
        next(opened)
