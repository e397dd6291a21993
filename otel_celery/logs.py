"""Which task wrote this log line?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from opentelemetry.trace import (
    INVALID_SPAN_ID,
    INVALID_TRACE_ID,
    format_span_id,
    format_trace_id,
    get_current_span,
)

from otel_celery.conventions import LOG_SPAN_ID, LOG_TASK_ID, LOG_TRACE_ID
from otel_celery.guard import Guard

_OURS = frozenset({LOG_TRACE_ID, LOG_SPAN_ID, LOG_TASK_ID})


class TaskLogs:
    """Puts `trace_id`, `span_id` and `celery.task.id` on each log record of this process.

    Each is empty where there is none, so that a format with `%(trace_id)s` never fails. A program
    that gives one of them itself, in `extra`, keeps its own.

    Args:
        task_id: tells the id of the task that runs here now, if any. It is called within the
            program's own logging calls: it must not log.
        guard: keeps faults away from those.
    """

    def __init__(self, task_id: Callable[[], str | None], guard: Guard) -> None:
        self._task_id, self._guard = task_id, guard
        self._factory: _Factory | None = None

    def install(self) -> None:
        """Begin, on top of whatever makes the log records now; once is enough."""
        if self._factory is None:
            self._factory = _Factory(logging.getLogRecordFactory(), self._task_id, self._guard)
            logging.setLogRecordFactory(self._factory)

    def uninstall(self) -> None:
        """Put back what was there; if somebody has built upon us since, stay, but do nothing."""
        factory, self._factory = self._factory, None
        if factory is not None:
            factory.active = False
            if logging.getLogRecordFactory() is factory:
                logging.setLogRecordFactory(factory.previous)


class _Factory:
    """Makes a log record as before, and says where it was made."""

    def __init__(
        self,
        previous: Callable[..., logging.LogRecord],
        task_id: Callable[[], str | None],
        guard: Guard,
    ) -> None:
        self.previous = previous
        self.active = True
        self._task_id = task_id
        self._mark = guard("log line", self._say)

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.previous(*args, **kwargs)
        if self.active:
            self._mark(record)
        return record

    def _say(self, record: logging.LogRecord) -> None:
        span = get_current_span().get_span_context()
        trace_id, span_id = span.trace_id, span.span_id
        fields = _Fields(record.__dict__)
        fields[LOG_TRACE_ID] = format_trace_id(trace_id) if trace_id != INVALID_TRACE_ID else ""
        fields[LOG_SPAN_ID] = format_span_id(span_id) if span_id != INVALID_SPAN_ID else ""
        fields[LOG_TASK_ID] = self._task_id() or ""
        record.__dict__ = fields


class _Fields(dict[str, Any]):
    """A record's attributes, of which ours may be overwritten.

    `Logger.makeRecord` raises KeyError if `extra` names an attribute that the record has, and tasks
    that log `extra={"trace_id": ...}` exist. It asks with `in`, so `in` denies ours.
    """

    def __contains__(self, key: object) -> bool:
        return key not in _OURS and super().__contains__(key)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)  # whoever unpickles a record need not have this package
