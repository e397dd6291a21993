"""Main: what does Celery tell a request?

A mixin over every task's own `Request` class passes on what happens to it. Callbacks may come from
several threads; nothing here waits, and what is said twice is heard once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded
from opentelemetry.context import detach

from otel_celery.conventions import HANDLE
from otel_celery.delivery import Deliveries
from otel_celery.facts import Delivery
from otel_celery.outcome import RETURNED_VALUE, HowEnded
from otel_celery.voice import failure_of


def observed(base: Any, deliveries: Deliveries) -> type:
    """Return a class over `base`, a task's own Request class, that tells what happens to it."""
    begin, accept, acknowledge = base.__init__, base.on_accepted, base.acknowledge

    class Observed(base):  # type: ignore[misc]
        # What is called for each task calls `base` by name: `super()` takes several times as long.
        _otel: Delivery | None = None

        def __init__(self, message: Any, **options: Any) -> None:
            begin(self, message, **options)
            self._otel = deliveries.receive(self)

        def __init_subclass__(cls, **options: Any) -> None:
            # create_request_cls makes a subclass per task with an on_success and an
            # execute_using_pool of its own that never call super.
            super().__init_subclass__(**options)
            for name, wrap in (("on_success", _succeeding), ("execute_using_pool", _handing)):
                own = cls.__dict__.get(name)
                if own is not None:
                    setattr(cls, name, wrap(own, deliveries))

        def on_accepted(self, pid: int, time_accepted: float) -> Any:
            if self._otel is not None:
                deliveries.start(self._otel, pid, time_accepted)
            return accept(self, pid, time_accepted)

        def on_failure(
            self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
        ) -> Any:
            delivery = self._otel
            if delivery is None:
                return super().on_failure(exc_info, send_failed_event, return_ok)
            end_mono = delivery.end_mono or time.monotonic_ns()
            delivery.settling = True
            token = deliveries.enter(delivery)  # what main sends now is caused by this task
            try:
                return super().on_failure(exc_info, send_failed_event, return_ok)
            finally:
                if token is not None:
                    detach(token)
                delivery.settling = False
                deliveries.settle(self, delivery, exc_info, end_mono)

        def on_timeout(self, soft: bool, timeout: float) -> Any:
            delivery = self._otel
            if soft or delivery is None:
                return super().on_timeout(soft, timeout)
            deliveries.end(
                delivery,
                HowEnded.TIMEOUT,
                time.monotonic_ns(),
                TimeLimitExceeded.__name__,
                False,
                lambda: failure_of(TimeLimitExceeded(timeout)),
            )
            token = deliveries.enter(delivery)
            try:
                return super().on_timeout(soft, timeout)
            finally:
                if token is not None:
                    detach(token)

        def _announce_revoked(
            self, reason: str, terminated: bool, signum: Any, expired: bool
        ) -> Any:
            if self._otel is not None:
                if terminated:
                    self._otel.reason = "terminated"
                else:
                    deliveries.end(self._otel, HowEnded.EXPIRED if expired else HowEnded.REVOKED)
            return super()._announce_revoked(reason, terminated, signum, expired)

        def _announce_cancelled(self, *args: Any, **options: Any) -> Any:
            if self._otel is not None:
                self._otel.reason = "requeued" if self._task.acks_late else "cancelled"
            return super()._announce_cancelled(*args, **options)

        def _success_was_stored(self) -> Any:
            stored = super()._success_was_stored()
            if stored and self._otel is not None:
                self._otel.reason = "stored"
            return stored

        def _retry_worker_lost(self, *args: Any) -> Any:
            retried = super()._retry_worker_lost(*args)
            if retried and self._otel is not None:
                self._otel.reason = "retried"
            return retried

        def acknowledge(self) -> Any:
            delivery = self._otel
            if delivery is not None and not delivery.start_mono:
                deliveries.never_began(delivery, HowEnded.DELEGATED)
            return acknowledge(self)

        def reject(self, requeue: bool = False) -> Any:
            delivery = self._otel
            if delivery is not None:
                delivery.requeue = requeue
                deliveries.never_began(delivery, HowEnded.RETURNED if requeue else HowEnded.INVALID)
            return super().reject(requeue)

        def info(self, safe: bool = False) -> Any:
            told = super().info(safe)
            if HANDLE in told["delivery_info"]:  # `celery inspect` shows what it shows without us
                told["delivery_info"] = {**told["delivery_info"]}
                del told["delivery_info"][HANDLE]
            return told

    Observed.__name__ = Observed.__qualname__ = base.__name__
    Observed.__module__ = base.__module__
    return Observed


def _succeeding(own: Callable[..., Any], deliveries: Deliveries) -> Callable[..., Any]:
    """Wrap the `on_success` that Celery makes for each task."""

    def on_success(self: Any, failed__retval__runtime: Any, **options: Any) -> Any:
        delivery = self._otel
        if delivery is None:
            return own(self, failed__retval__runtime, **options)
        delivery.end_mono = now = time.monotonic_ns()
        settle_returned(deliveries, self, failed__retval__runtime, now)
        return own(self, failed__retval__runtime, **options)  # a failure goes on to on_failure

    return on_success


def settle_returned(deliveries: Deliveries, request: Any, told: Any, now: int) -> bool:
    """Say how a delivery ended by what the pool says of its return; False if it was a failure.

    Args:
        deliveries: which it is one of.
        request: Celery's, with the delivery.
        told: (failed, value, run time), or an exception of in-process pools.
        now: monotonic nanoseconds.
    """
    delivery: Delivery = request._otel
    if isinstance(told, ExceptionInfo):
        # In-process pools hand over a sys.exit bare; Celery then raises TypeError.
        deliveries.settle(request, delivery, told, now)
        return True
    failed, value, runtime = told
    if failed:
        return False
    delivery.runtime = runtime
    if deliveries.keep_results:
        delivery.result = value
    # Green pools report a task that they killed like this: a success that took no time.
    deliveries.end(delivery, HowEnded.TERMINATED if runtime is None else RETURNED_VALUE, now)
    return True


def _handing(own: Callable[..., Any], deliveries: Deliveries) -> Callable[..., Any]:
    """Wrap `execute_using_pool`: what the pool holds may run even if the connection is lost."""

    def execute_using_pool(self: Any, pool: Any, **options: Any) -> Any:
        if self._otel is not None:
            self._otel.handed = True
        return own(self, pool, **options)

    return execute_using_pool
