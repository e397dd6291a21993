"""A task runs in its caller: `apply()` and `task_always_eager` send no message."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from celery import states
from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind, set_span_in_context

from otel_celery import conventions as c
from otel_celery import envelope
from otel_celery.ending import expected_by
from otel_celery.envelope import NO_PARENT, Trace
from otel_celery.facts import Eager
from otel_celery.otlp import Limits
from otel_celery.publish import current_trace
from otel_celery.taskspan import TaskSpan
from otel_celery.voice import Voice, failure_of

_STATES = {
    states.SUCCESS: c.SUCCESS,
    states.FAILURE: c.FAILURE,
    states.RETRY: c.RETRY,
    states.IGNORED: c.IGNORED,
    states.REJECTED: c.REJECTED,
}


class _Running(NamedTuple):
    task: Any
    own: Trace
    parent_id: str
    span: TaskSpan
    token: Any
    start_ns: int
    start_mono: int


class EagerTasks:
    """Puts an INTERNAL span around `Task.apply`."""

    def __init__(self, voice: Voice, limits: Limits) -> None:
        self._voice, self._limits = voice, limits
        self._enter = voice.guard("eager", self._begin)
        self._leave = voice.guard("eager", self._finish)

    def around(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        """Return `Task.apply` with the span around it."""
        enter, leave = self._enter, self._leave

        def apply_eagerly(self: Any, *args: Any, **options: Any) -> Any:
            running = enter(self)
            if running is None:
                return apply(self, *args, **options)
            result: Any = None
            raised: BaseException | None = None
            try:
                result = apply(self, *args, **options)
                return result
            except BaseException as exc:
                raised = exc
                raise
            finally:
                leave(running, result, raised)

        return apply_eagerly

    def _begin(self, task: Any) -> _Running:
        parent = current_trace()
        trace_id = parent.trace_id if parent is not None else envelope.new_trace_id()
        decision = self._voice.decide(
            parent, trace_id, f"process {task.name}", SpanKind.INTERNAL, {c.TASK_NAME: task.name}
        )
        own = Trace(trace_id, envelope.new_span_id(), decision.sampled, decision.state)
        span = TaskSpan(own.header(), own.state, self._limits, c.RESERVED)
        parent_id = parent.span_id if parent is not None else NO_PARENT
        token = attach(set_span_in_context(span))
        return _Running(task, own, parent_id, span, token, time.time_ns(), time.monotonic_ns())

    def _finish(self, running: _Running, result: Any, raised: BaseException | None) -> None:
        detach(running.token)
        duration = time.monotonic_ns() - running.start_mono
        state, exc, traceback = c.FAILURE, raised, ""
        if raised is None:
            state = _STATES.get(result.state, c.FAILURE)
            if state in (c.FAILURE, c.RETRY) and isinstance(result.result, BaseException):
                exc, traceback = result.result, str(result.traceback or "")
        self._voice.tell(
            Eager(
                running.task.name,
                getattr(result, "id", None) or "",
                running.own,
                running.parent_id,
                running.start_ns,
                duration,
                state,
                None if exc is None else failure_of(exc, traceback),
                exc is not None and expected_by(running.task, type(exc)),
                running.span.notes(),
            )
        )
