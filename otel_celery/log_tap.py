"""Which log records of tasks leave the process?

It listens where a logger hands a record to its handlers, and adds no handler of its own: Celery
takes handlers away at its start, a root logger with a handler is not set up any more, and loggers
that do not propagate, as Celery's for tasks, would need one each.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import get_current_span

from otel_celery.guard import Guard
from otel_celery.log_records import Running, encode_record

# What they say is on spans, but for what must not leave: Celery's own lines of a task hold its
# arguments and its result. Nothing that is said while telemetry is told may become telemetry.
_SILENT = frozenset(
    {"celery", "kombu", "amqp", "vine", "billiard", "multiprocessing"}
    | {"otel_celery", "opentelemetry"}
)
_REDIRECTED = "celery.redirected"
_HEARD = frozenset({"celery.task", _REDIRECTED})  # loggers that are there for users

# Celery makes what goes to stderr a record: a line that a handler writes there is no second one.
_within_handlers: ContextVar[bool] = ContextVar("within_handlers", default=False)


class LogTap:
    """Takes each log record of a running task after the handlers of its logger have had it.

    So levels and filters of loggers decide, and what a filter took out of a record is gone.

    Args:
        guard: keeps faults away from the program's logging calls.
        task: tells id and name of the task that runs here now, if any.
        take: gets the record as `log_records.encode_record` makes it. It must not wait.
        elsewhere: says whether the application sees to its records itself; asked once a process.
    """

    def __init__(
        self,
        guard: Guard,
        task: Callable[[], tuple[str, str] | None],
        take: Callable[[bytes], object],
        elsewhere: Callable[[], bool],
    ) -> None:
        self._task, self._take, self._elsewhere = task, take, elsewhere
        self._hear = guard("log records", self._on_record)
        self._left_alone: bool | None = None
        self._previous: Callable[..., Any] | None = None
        self._ours: Callable[..., Any] | None = None

    def install(self) -> None:
        """Begin; in a forked process, look anew at what the application does."""
        self._left_alone = None
        if self._ours is not None:
            return
        previous = logging.Logger.callHandlers

        @functools.wraps(previous)
        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if self._ours is not call_handlers or self._task() is None:
                previous(logger, record)
                return
            within = _within_handlers.get()
            token = _within_handlers.set(True)
            try:
                previous(logger, record)
            finally:
                _within_handlers.reset(token)
            if not (within and record.name == _REDIRECTED):
                self._hear(record)

        self._previous, self._ours = previous, call_handlers
        _put(call_handlers)

    def uninstall(self) -> None:
        """Put back what was there; if somebody has built upon us since, stay, but do nothing."""
        ours, self._ours = self._ours, None
        if ours is not None and logging.Logger.callHandlers is ours and self._previous is not None:
            _put(self._previous)

    def _on_record(self, record: logging.LogRecord) -> None:
        task = self._task()
        if task is None or silent(record.name) or not is_instrumentation_enabled():
            return
        if self._left_alone is None:
            self._left_alone = self._elsewhere()
        if self._left_alone:
            return
        span = get_current_span().get_span_context()
        where = Running(span.trace_id, span.span_id, int(span.trace_flags), *task)
        self._take(encode_record(record, where, time.time_ns()))


def silent(name: str) -> bool:
    """Return whether a logger's records stay here."""
    return name.partition(".")[0] in _SILENT and name not in _HEARD


def _put(call_handlers: Callable[..., Any]) -> None:
    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]
