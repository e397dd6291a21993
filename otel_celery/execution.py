"""The pool process: context around the task body.

The task pays for attaching a context. Main owns the process span; what user code puts on the
current span goes to main as notes, before Celery sends the result, so that main has them when it
speaks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from opentelemetry.context import Context, attach, create_key, detach, get_value
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

from otel_celery import conventions as c
from otel_celery import envelope
from otel_celery.otlp import Limits
from otel_celery.taskspan import TaskSpan
from otel_celery.voice import Voice

_TASK = create_key("celery.task")
(_SPAN,) = set_span_in_context(INVALID_SPAN, Context())  # the key under which a span is current

Note = Callable[[str, bytes, int], None]
"""Takes (span id, notes as a partial OTLP Span, monotonic end in ns) to main."""


class Execution:
    """Puts a task's context around its body.

    Args:
        voice: of this process.
        note: takes what was said on the task's span.
        limits: of that span.
        before_first: called once, before the first task.
        after: called after each task.
        within: wraps what runs a task, so that it finds the task's context.
    """

    def __init__(
        self,
        voice: Voice,
        note: Note,
        limits: Limits,
        before_first: Callable[[], object] | None = None,
        after: Callable[[], object] | None = None,
        within: Callable[[Any, Callable[..., Any]], Callable[..., Any]] | None = None,
    ) -> None:
        self._voice, self._note, self._limits = voice, note, limits
        self._before_first, self._after, self._within = before_first, after, within
        self._enter = voice.guard.per_task("execution", self._attach)
        self._leave = voice.guard.per_task("executed", self._detach)

    def around(self, task: Any, trace: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that runs `task`, with its context around it."""
        enter, leave, name = self._enter, self._leave, task.name
        if self._within is not None:
            trace = self._within(task, trace)

        def traced(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
            entered = enter(uuid, request, name)
            if entered is None:
                return trace(uuid, args, kwargs, request)
            result = None
            try:
                result = trace(uuid, args, kwargs, request)
                return result
            finally:
                leave(entered, result)

        return traced

    def _attach(self, uuid: str, request: Any, name: str) -> tuple[TaskSpan, Any, str] | None:
        if self._before_first is not None:
            prepare, self._before_first = self._before_first, None
            prepare()
        handle = envelope.read_handle(request.get("delivery_info")) if request else None
        if handle is None:
            return None
        traceparent, tracestate = handle
        span = TaskSpan(traceparent, tracestate, self._limits, c.RESERVED)
        # Made anew on purpose: nothing of the task before may leak into this one.
        context = Context({_SPAN: span, _TASK: (uuid, name)})
        if self._voice.baggage is not None:
            baggage = envelope.clean_baggage(request.get(c.BAGGAGE))
            context = self._voice.baggage.extract({c.BAGGAGE: baggage}, context=context)
        return span, attach(context), traceparent[36:52]

    def _detach(self, entered: tuple[TaskSpan, Any, str], result: Any) -> None:
        span, token, span_id = entered
        detach(token)
        notes = span.notes()
        # Celery tells main the run time of a success only: the rest is told here.
        if notes or result is None or result[1] is not None:
            self._note(span_id, notes, time.monotonic_ns())
        if self._after is not None:
            self._after()


def current_task_id() -> str:
    """Return the id of the task that runs here, "" outside of tasks."""
    task = current_task()
    return task[0] if task is not None else ""


def current_task() -> tuple[str, str] | None:
    """Return id and name of the task that runs here, None outside of tasks."""
    return cast("tuple[str, str] | None", get_value(_TASK))
