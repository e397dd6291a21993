"""What does Sentry learn of a task while it runs, from within its process?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from celery import current_task, states
from opentelemetry.trace import SpanContext, format_span_id, format_trace_id, get_current_span

from otel_celery import conventions as c
from otel_celery.ending import expected_by
from otel_celery.guard import Guard
from otel_celery.sentry_event import About, Event, label, limit_arguments
from otel_celery.settings import Settings
from otel_celery.voice import Brokers

_REMEMBERED = 16  # exceptions captured within one task
_MECHANISM = {"type": "celery", "handled": False}  # as Sentry's CeleryIntegration says it


class _Watch:
    """One task that runs: what is said of it, and what Sentry has heard of."""

    __slots__ = ("captured", "own", "request", "scope", "task", "uuid")

    def __init__(self, task: Any, uuid: str, request: Mapping[str, Any], scope: Any) -> None:
        self.task, self.uuid, self.request, self.scope = task, uuid, request, scope
        self.own: SpanContext = get_current_span().get_span_context()
        self.captured: deque[BaseException] = deque(maxlen=_REMEMBERED)

    def has(self, exc: BaseException) -> bool:
        """Has Sentry heard of this very exception?"""
        return any(seen is exc for seen in self.captured)


class TaskErrors:
    """Puts a Sentry scope around tasks, and reports the failures that nobody else captured.

    Args:
        settings: of the deployment.
        guard: keeps faults.
        brokers: what queues are called.
    """

    def __init__(self, settings: Settings, guard: Guard, brokers: Brokers) -> None:
        self.sdk: Any = None
        """What is used of sentry-sdk, once this process does."""
        self.worker = ""
        """The nodename."""
        self._settings, self._brokers = settings, brokers
        self._enter = guard("sentry", self._begin)
        self._report = guard("sentry", self._ended)
        self._leave = guard("sentry", self._end)
        self._process = guard("sentry", self._say)

    def around(self, task: Any, trace: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that runs `task`, with its scope around it."""
        enter, report, leave = self._enter, self._report, self._leave

        def watched(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
            watch = enter(task, uuid, request)
            if watch is None:
                return trace(uuid, args, kwargs, request)
            try:
                result = trace(uuid, args, kwargs, request)
                report(watch, result)
                return result
            finally:
                leave(watch)

        return watched

    def _begin(self, task: Any, uuid: str, request: Any) -> _Watch | None:
        client = self.sdk.client() if self.sdk is not None else None
        if client is None or not client.is_active():
            return None
        # CeleryIntegration isolates each task by itself. What is put on the current scope comes
        # after what it puts on the isolation scope: it adds arguments, which we take out again.
        theirs = client.get_integration("celery") and getattr(task, "_sentry_is_patched", False)
        scope = self.sdk.new_scope() if theirs else self.sdk.isolation_scope()
        entered = scope.__enter__()
        if not theirs:
            entered.clear_breadcrumbs()
            entered.set_transaction_name(task.name, source="task")
        # Else a constant that is raised in one task after the other would be told once.
        self.sdk.forget_last_exception()
        watch = _Watch(task, uuid, request or {}, scope)
        self.sdk.scope().add_event_processor(lambda event, hint: self._process(watch, event, hint))
        return watch

    def _say(self, watch: _Watch, event: Event, hint: Mapping[str, Any]) -> Event | None:
        """Say in an event of whose task it is; a fault drops it, because of the arguments."""
        limit_arguments(event, watch.request if "args" in self._settings.capture else None)
        if event.get("type") is not None:
            return event
        exc = (hint.get("exc_info") or (None, None))[1]
        state = ""  # not known yet
        if exc is not None:
            if _unhandled(event):
                if watch.has(exc):
                    return None  # the task told it by itself
                state = c.FAILURE if _is_own(watch) else ""
            watch.captured.append(exc)
        label(event, self._about(watch), state, self._settings.trace_url)
        return event

    def _about(self, watch: _Watch) -> About:
        told = watch.request.get("delivery_info") or {}
        _, queue_of = self._brokers.of(watch.task.app)
        return About(
            watch.task.name,
            watch.uuid,
            queue_of(told.get("exchange"), told.get("routing_key")),
            self.worker,
            int(watch.request.get("retries") or 0),
            format_trace_id(watch.own.trace_id),
            format_span_id(watch.own.span_id),
        )

    def _ended(self, watch: _Watch, result: Any) -> None:
        """Report a final failure that nobody captured: Sentry's integration may be off, or late.

        Args:
            watch: of the task.
            result: Celery's (value, what went wrong or None, run time, text).
        """
        info = result[1]
        if info is None or info.state != states.FAILURE:
            return
        exc = info.retval
        if not isinstance(exc, BaseException) or watch.has(exc):
            return
        if expected_by(watch.task, type(exc)):
            return
        event, hint = self.sdk.event_of(
            (type(exc), exc, exc.__traceback__),
            client_options=self.sdk.client().options,
            mechanism=dict(_MECHANISM),
        )
        self.sdk.capture(event, hint=hint)

    def _end(self, watch: _Watch) -> None:
        watch.scope.__exit__(None, None, None)


def _unhandled(event: Event) -> bool:
    """Does an event tell of an exception that ended a task?"""
    values = (event.get("exception") or {}).get("values") or [{}]
    mechanism = values[-1].get("mechanism") or {}
    return mechanism.get("type") == "celery" and mechanism.get("handled") is False


def _is_own(watch: _Watch) -> bool:
    """Is it the task itself that ends, and not another that it called as a function?"""
    if not current_task:  # its end is being told
        return True
    request = current_task.request
    return request.id == watch.uuid and not request.called_directly
