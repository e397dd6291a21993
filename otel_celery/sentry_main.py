"""What does main tell Sentry? The failures that no Python code could see.

A killed process captures nothing more, and a message without a task never had one. Sentry's client
and whatever the application hooks into it run in a thread of their own: never in Celery's event
loop, and never while the speaker holds its lock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import InvalidTaskError, NotRegistered
from opentelemetry.context import attach, detach

from otel_celery import conventions as c
from otel_celery.facts import Ended
from otel_celery.guard import Guard
from otel_celery.sampling import context_of
from otel_celery.sentry_event import About, label, made_by_main
from otel_celery.settings import Settings

_MOST = 100  # that wait to be captured; Sentry's own queue is as long
_TURN = 0.01  # seconds between two looks at a stop
# Classes for the application's `ignore_errors`; the event itself says what Celery said.
_CLASSES: Mapping[str, type[Exception]] = {
    c.TIMEOUT: TimeLimitExceeded,
    c.LOST: WorkerLostError,
    c.UNKNOWN: NotRegistered,
    c.INVALID: InvalidTaskError,
}


class MainErrors:
    """Reports killed, timed-out, unknown and invalid tasks.

    Args:
        settings: of the deployment.
        guard: keeps faults.
    """

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self.sdk: Any = None
        """What is used of sentry-sdk, once this process does."""
        self.worker = ""
        """The nodename."""
        self._settings, self._guard = settings, guard
        self._capture = guard("sentry", self._report)
        self.forget()

    def forget(self) -> None:
        """Be as new: in a fork, what waits is the parent's, and the thread is not there."""
        self._waiting: deque[Ended] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._busy = self._closed = False

    def witness(self, ended: Ended) -> None:
        """Take what main alone can tell; an append."""
        if self.sdk is None or self._closed or ended.state not in _CLASSES:
            return
        if len(self._waiting) >= _MOST:
            self._guard.faults["sentry_backlog"] += 1
            return
        self._waiting.append(ended)
        self._wake.set()
        if self._thread is None:
            thread = threading.Thread(
                target=self._run, args=(self._wake,), name="otel-celery-sentry", daemon=True
            )
            thread.start()  # where that fails, the next one tries again
            self._thread = thread

    def settle(self, end: float) -> None:
        """Return when nothing waits any more, at `end` on the monotonic clock at the latest."""
        while (self._waiting or self._busy) and time.monotonic() < end:
            time.sleep(_TURN)

    def close(self) -> None:
        """End the thread, once it has told what waits."""
        self._closed = True
        self._wake.set()

    def _run(self, wake: threading.Event) -> None:
        while self._waiting or not self._closed:
            wake.wait()
            wake.clear()
            while self._waiting:
                self._busy = True  # before it is taken: `settle` must not see a gap
                self._capture(self._waiting.popleft())
            self._busy = False

    def _report(self, ended: Ended) -> None:
        if not self.sdk.client().is_active():
            return
        about = About.delivery(ended.delivery, self.worker)
        event = made_by_main(about, ended)
        label(event, about, ended.state, self._settings.trace_url)
        kind = _CLASSES[ended.state]
        hint = {"exc_info": (kind, kind(event["exception"]["values"][0]["value"]), None)}
        token = attach(context_of(ended.delivery.own))  # its ids become the event's
        try:
            with self.sdk.isolation_scope() as scope:
                scope.clear_breadcrumbs()  # they are of whatever else main did
                self.sdk.capture(event, hint=hint)
        finally:
            detach(token)
