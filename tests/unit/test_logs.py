"""Which task wrote this log line?"""

from __future__ import annotations

import copy
import logging
import pickle
import pickletools

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from otel_celery.guard import Guard
from otel_celery.logs import TaskLogs

SPAN = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=True))
FIELDS = ("trace_id", "span_id", "celery.task.id")
NOWHERE = ("", "", "")
HERE = (f"{0xABC:032x}", f"{0xDEF:016x}", "task-1")


class Lines(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def lines():
    """A logger of its own, and the record factory as it was, afterwards."""
    before = logging.getLogRecordFactory()
    kept = Lines()
    kept.logger = logging.Logger("test")
    kept.logger.addHandler(kept)
    yield kept
    logging.setLogRecordFactory(before)


@pytest.fixture
def running():
    """Ids of running tasks; the last is the one that runs here."""
    return []


@pytest.fixture
def logs(running):
    """Not yet installed."""
    return TaskLogs(lambda: running[-1] if running else None, Guard())


def fields(record):
    """Return our fields of a record, as a formatter finds them."""
    return tuple(record.__dict__.get(name) for name in FIELDS)


def test_a_fault_of_ours_leaves_the_line_as_it_was(lines):
    """Logging goes on, and so does the task that logs."""
    guard = Guard()
    TaskLogs(lambda: 1 / 0, guard).install()
    lines.logger.info("paid")
    assert [record.getMessage() for record in lines.records] == ["paid"]
    assert guard.faults == {"log line": 2}  # and the line that tells of it


def test_a_line_of_a_running_task_names_task_and_span(lines, running, logs):
    """In the form that backends search for."""
    logs.install()
    running.append("task-1")
    with use_span(SPAN):
        lines.logger.warning("in")
    assert [fields(record) for record in lines.records] == [HERE]


def test_a_line_outside_a_task_has_empty_fields(lines, logs):
    """So one format serves all lines of a process."""
    logs.install()
    lines.logger.warning("out")
    (record,) = lines.records
    assert fields(record) == NOWHERE
    form = "[%(trace_id)s|%(span_id)s|%(celery.task.id)s] %(message)s"
    assert logging.Formatter(form).format(record) == "[||] out"
    assert logging.Formatter(form, defaults={"x": 1}).format(record) == "[||] out"


def test_a_span_without_a_task_is_named_too(lines, logs):
    """Celery logs in the main process what became of a lost task."""
    logs.install()
    with use_span(SPAN):
        lines.logger.warning("main")
    assert [fields(record) for record in lines.records] == [(*HERE[:2], "")]


def test_a_program_that_gives_a_field_itself_keeps_its_own(lines, logs):
    """Logging would refuse such an `extra` with KeyError, in the middle of a task."""
    logs.install()
    with use_span(SPAN):
        lines.logger.warning("x", extra={"trace_id": "mine", "order": 7})
    (record,) = lines.records
    assert (record.trace_id, record.span_id, record.order) == ("mine", HERE[1], 7)
    with pytest.raises(KeyError, match="overwrite 'lineno'"):
        lines.logger.warning("x", extra={"lineno": 1})


def test_a_record_can_be_copied_sent_and_made_again(lines, running, logs):
    """Queue and socket handlers do so, and the receiver may not have this package."""
    logs.install()
    running.append("task-1")
    with use_span(SPAN):
        lines.logger.warning("in")
    running.clear()
    (record,) = lines.records
    sent = pickle.dumps(record)
    assert not [arg for _, arg, _ in pickletools.genops(sent) if "otel_celery" in str(arg)]
    for again in (pickle.loads(sent), copy.copy(record), logging.makeLogRecord(record.__dict__)):
        assert fields(again) == HERE
        assert again.getMessage() == "in"


def test_uninstall_restores_exactly_what_was_there(lines, logs):
    """Installed twice, removed once."""
    before = logging.getLogRecordFactory()
    logs.install()
    ours = logging.getLogRecordFactory()
    logs.install()
    assert logging.getLogRecordFactory() is ours is not before
    logs.uninstall()
    logs.uninstall()
    assert logging.getLogRecordFactory() is before
    lines.logger.warning("x")
    assert fields(lines.records[0]) == (None, None, None)


def test_the_factory_of_others_is_kept_below_and_above(lines, logs):
    """Below: still called. Above: not thrown away by our leaving, and we fall silent."""
    original = logging.getLogRecordFactory()

    def marking(mark):
        inner = logging.getLogRecordFactory()

        def make(*args, **kwargs):
            record = inner(*args, **kwargs)
            record.marks = [*getattr(record, "marks", []), mark]
            return record

        return make

    logging.setLogRecordFactory(marking("below"))
    logs.install()
    above = marking("above")
    logging.setLogRecordFactory(above)
    lines.logger.warning("both")
    logs.uninstall()
    lines.logger.warning("after")
    assert logging.getLogRecordFactory() is above is not original
    assert [(record.marks, fields(record)) for record in lines.records] == [
        (["below", "above"], NOWHERE),
        (["below", "above"], (None, None, None)),
    ]


def test_logs_can_be_installed_again(lines, logs):
    """Also on top of somebody who kept our silent factory."""
    logs.install()
    kept = logging.getLogRecordFactory()
    logging.setLogRecordFactory(lambda *args, **kwargs: kept(*args, **kwargs))
    logs.uninstall()
    logs.install()
    lines.logger.warning("x")
    assert [fields(record) for record in lines.records] == [NOWHERE]
