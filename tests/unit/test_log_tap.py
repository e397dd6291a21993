"""Which log records of tasks leave the process?"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from otel_celery.guard import Guard
from otel_celery.log_tap import LogTap

SPAN = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1)))


class Taken(list[bytes]):
    """What a tap took, and the tap."""

    def __init__(self) -> None:
        super().__init__()
        self.running: tuple[str, str] | None = ("id-1", "shop.pay")
        self.elsewhere = False
        self.asked = 0
        self.guard = Guard()
        self.tap = LogTap(self.guard, lambda: self.running, self.append, self._look)

    def _look(self) -> bool:
        self.asked += 1
        return self.elsewhere

    @property
    def bodies(self) -> list[str]:
        return [
            by_scope.log_records[0].body.string_value
            for part in self
            for by_scope in ResourceLogs.FromString(part).scope_logs
        ]


@pytest.fixture
def taken() -> Iterator[Taken]:
    """A tap at work; the class of loggers as it was, afterwards."""
    before = logging.Logger.callHandlers
    made = Taken()
    made.tap.install()
    yield made
    made.tap.uninstall()
    assert logging.Logger.callHandlers is before


@pytest.fixture
def logger() -> logging.Logger:
    """A logger with neither parent nor handler."""
    made = logging.Logger("shop.tasks")
    made.addHandler(logging.NullHandler())
    return made


def test_a_record_has_the_ids_of_the_current_span(taken: Taken, logger: logging.Logger):
    with use_span(SPAN):
        logger.info("said")
    (one,) = ResourceLogs.FromString(taken[0]).scope_logs[0].log_records
    assert (one.trace_id.hex(), one.span_id.hex()) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert one.flags == 1


def test_records_outside_of_tasks_stay_here(taken: Taken, logger: logging.Logger):
    taken.running = None
    logger.error("said")
    assert (taken, taken.asked) == ([], 0)


def test_levels_and_filters_of_the_logger_decide(taken: Taken, logger: logging.Logger):
    logger.setLevel(logging.WARNING)
    logger.addFilter(lambda record: "no" not in record.msg)
    logger.info("quiet")
    logger.error("no")
    logger.error("loud")
    assert taken.bodies == ["loud"]


def test_what_a_handler_took_out_of_a_record_is_gone(taken: Taken, logger: logging.Logger):
    """Filters that mask secrets often stand there."""

    def mask(record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().replace("secret", "***"), None
        return True

    logger.handlers[0].addFilter(mask)
    logger.handlers[0].handle = logger.handlers[0].filter  # type: ignore[assignment,method-assign]
    logger.error("my %s", "secret")
    assert taken.bodies == ["my ***"]


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        pytest.param("celery.app.trace", False, id="results"),
        pytest.param("celery.worker.strategy", False, id="arguments"),
        pytest.param("celery", False, id="celery"),
        pytest.param("kombu.pidbox", False, id="kombu"),
        pytest.param("otel_celery", False, id="ours"),
        pytest.param("opentelemetry.exporter.otlp.proto.http", False, id="exporters"),
        pytest.param("celery.task", True, id="of-tasks"),
        pytest.param("celery.redirected", True, id="print"),
        pytest.param("celery_shop", True, id="alike"),
        pytest.param("urllib3.connectionpool", True, id="others"),
    ],
)
def test_what_celery_and_telemetry_say_stays_here(taken: Taken, name: str, heard: bool):
    logger = logging.Logger(name)
    logger.addHandler(logging.NullHandler())
    logger.error("said")
    assert taken.bodies == (["said"] if heard else [])


def test_what_is_said_during_an_export_stays_here(taken: Taken, logger: logging.Logger):
    """An exporter that a task calls uses HTTP libraries, which log."""
    with suppress_instrumentation():
        logger.error("said")
    assert taken == []


def test_a_line_that_is_printed_by_a_handler_is_no_second_record(taken: Taken):
    """Celery makes a record of what goes to stderr, also of what a handler writes there."""
    redirected = logging.Logger("celery.redirected")
    redirected.addHandler(logging.NullHandler())

    class ToStderr(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            redirected.warning(record.getMessage())

    logger = logging.Logger("shop")
    logger.addHandler(ToStderr())
    logger.warning("once")
    redirected.warning("printed")
    assert taken.bodies == ["once", "printed"]


def test_an_application_that_sees_to_its_records_is_left_alone(
    taken: Taken, logger: logging.Logger
):
    """It is asked once a process: a fork may find another answer."""
    taken.elsewhere = True
    logger.error("said")
    logger.error("said")
    assert (taken, taken.asked) == ([], 1)
    taken.elsewhere = False
    taken.tap.install()
    logger.error("said")
    assert (taken.bodies, taken.asked) == (["said"], 2)


class Loud:
    """What a program may put into a message."""

    def __init__(self, fault: type[BaseException]) -> None:
        self.fault = fault

    def __str__(self) -> str:
        raise self.fault


def test_a_fault_never_reaches_the_program(taken: Taken, logger: logging.Logger):
    class Own(Exception):
        pass

    logger.error("%s", Loud(Own))
    assert taken == []
    assert taken.guard.faults == {"log records": 1}


def test_the_alarm_of_a_task_does(taken: Taken, logger: logging.Logger):
    """It is the task's own, wherever it rings."""
    with pytest.raises(SoftTimeLimitExceeded):
        logger.error("%s", Loud(SoftTimeLimitExceeded))


def test_a_value_that_logs_while_it_is_told_is_heard_too(taken: Taken, logger: logging.Logger):
    class Chatty:
        def __str__(self) -> str:
            logger.info("inner")
            return "value"

    logger.info("outer %s", Chatty())
    assert taken.bodies == ["inner", "outer value"]


def test_handlers_and_their_faults_are_as_without_us(taken: Taken):
    """A handler that raises does so in the program, as ever; ours is none."""

    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> Any:
            raise OSError("disk full")

    logger = logging.Logger("shop")
    logger.addHandler(Broken())
    with pytest.raises(OSError, match="disk full"):
        logger.error("said")
    assert len(logger.handlers) == 1
    assert taken == []


def test_whoever_builds_upon_us_stays_in_place(logger: logging.Logger):
    """As Sentry's SDK does: once we are switched off, nothing of ours is done any more."""
    before = logging.Logger.callHandlers
    taken = Taken()
    taken.tap.install()
    ours = logging.Logger.callHandlers

    def theirs(self: logging.Logger, record: logging.LogRecord) -> None:
        ours(self, record)

    try:
        logging.Logger.callHandlers = theirs  # type: ignore[method-assign]
        logger.error("said")
        taken.tap.uninstall()
        logger.error("said")
        assert logging.Logger.callHandlers is theirs
    finally:
        logging.Logger.callHandlers = before  # type: ignore[method-assign]
    assert taken.bodies == ["said"]
