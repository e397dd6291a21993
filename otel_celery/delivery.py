"""Main: which deliveries does this worker hold, and what became of each?

There is one owner per outcome and one word per delivery: whoever takes it out speaks. The pool has
the last word, because a task that was revoked or cancelled may survive the signal; until then such
a reason is only noted (`Delivery.reason`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from opentelemetry.context import attach
from opentelemetry.trace import SpanKind

from otel_celery import conventions as c
from otel_celery import envelope
from otel_celery.ending import classify, expected_by, failure_of_info, plain
from otel_celery.facts import Delivery, Ended, Failure, Started
from otel_celery.outcome import RETURNED_VALUE, SUCCESS, HowEnded, judge
from otel_celery.sampling import context_of
from otel_celery.voice import Brokers, Voice

_SILENT = {
    "terminated": HowEnded.TERMINATED,
    "cancelled": HowEnded.CANCELLED,
    "requeued": HowEnded.REQUEUE,
}
"""How a delivery ended that was running when the worker stopped, by the reason noted."""


class Deliveries:
    """Makes deliveries of messages and takes their last words, for one worker."""

    def __init__(self, voice: Voice, brokers: Brokers, *, keep_results: bool = False) -> None:
        self._voice, self._brokers, self.keep_results = voice, brokers, keep_results
        self._open: set[Delivery] = set()
        self.guard = guard = voice.guard
        self.receive = guard.per_task("received", self._receive)
        self.start = guard.per_task("started", self._start)
        self.end = guard.per_task("ended", self._end)
        self.settle = guard("settled", self._settle)
        self.never_began = guard("rejected", self._never_began)
        self.enter = guard("context", lambda delivery: attach(context_of(delivery.own)))

    @property
    def running(self) -> bool:
        """Has a delivery begun that has not ended?"""
        return any(delivery.begun for delivery in list(self._open))

    def _receive(self, request: Any) -> Delivery:
        headers = request._request_dict
        told = request._delivery_info
        delivery = self.arrive(
            request._app,
            headers,
            request._task.name,  # not the request's: that may be a shadow, another for each message
            request.id,
            told["exchange"],
            told["routing_key"],
        )
        delivery.task, delivery.headers = request._task, headers
        if told["redelivered"]:
            delivery.redelivered = True
        told[c.HANDLE] = delivery.traceparent, delivery.tracestate
        self._voice.tell(delivery)
        return delivery

    def arrive(
        self,
        app: Any,
        headers: Mapping[str, Any],
        name: str,
        id: str,
        exchange: Any,
        routing_key: str | None,
    ) -> Delivery:
        """Return a delivery with the context of its process span reserved."""
        voice = self._voice
        broker, names = self._brokers.of(app)
        queue = names(exchange, routing_key)
        sender = parent = None
        if voice.structure != "ignore":
            sender = envelope.sender_in(
                headers if c.TRACEPARENT in headers else envelope.carried(headers)
            )
            if voice.structure == "parent":
                parent = sender
        span_id = envelope.new_span_id()
        if parent is None:
            traceparent, state = f"00-{envelope.new_trace_id()}-{span_id}-01", ""
        else:
            traceparent, state = parent
            traceparent = traceparent[:36] + span_id + traceparent[52:]
        decide, attributes = voice.decide, None
        if not decide.by_parent:
            sampled, state, attributes = decide(
                envelope.trace_of(*parent) if parent is not None else None,
                traceparent[3:35],
                f"process {name}",
                SpanKind.CONSUMER,
                {c.MESSAGING_SYSTEM: broker.system, c.QUEUE: queue, c.TASK_NAME: name},
            )
            traceparent = traceparent[:53] + ("01" if sampled else "00")
        delivery = Delivery(
            name, envelope.short(id), queue, broker, traceparent, state, sender, time.time_ns()
        )
        if attributes:
            delivery.attributes = attributes
        if parent is None:
            delivery.linked = True
        self._open.add(delivery)
        return delivery

    def refuse(self, app: Any, message: Any, how: HowEnded, error: str | None) -> None:
        """Tell a message that never becomes a Request."""
        headers = message.headers if isinstance(message.headers, Mapping) else {}
        told = message.delivery_info or {}
        delivery = self.arrive(
            app,
            headers,
            envelope.short(headers.get("task")) or c.OTHER,
            headers.get("id") or "",
            told.get("exchange"),
            told.get("routing_key"),
        )
        delivery.redelivered, delivery.headers = bool(told.get("redelivered")), headers
        self._voice.tell(delivery)
        self._end(
            delivery,
            how,
            error=error,
            failure=(lambda: Failure(error, error, "", "")) if error else None,
        )

    def _start(self, delivery: Delivery, pid: int, accepted: float) -> None:
        delivery.pid = pid
        delivery.start_mono = int(accepted * 1e9)
        delivery.start_ns = time.time_ns() - (time.monotonic_ns() - delivery.start_mono)
        self._voice.tell((Started, delivery))

    def _end(
        self,
        delivery: Delivery,
        how: HowEnded,
        end_mono: int = 0,
        error: str | None = None,
        expected: bool = False,
        failure: Callable[[], Failure] | None = None,
    ) -> None:
        try:
            self._open.remove(delivery)  # atomic: whoever takes it out speaks
        except KeyError:
            return
        begun = delivery.start_mono > 0
        if how is RETURNED_VALUE:
            verdict, failure = SUCCESS, None
        else:
            verdict = judge(how, error=error, expected=expected, begun=begun)
            failure = failure if verdict.error_type else None
        self._voice.tell(
            (Ended, delivery, *verdict, time.time_ns(), end_mono if begun else 0, failure)
        )

    def _settle(self, request: Any, delivery: Delivery, info: Any, end_mono: int) -> None:
        """Say how a delivery ended that the pool reports as anything but a returned value."""
        exc = plain(info)
        how, error = classify(info, exc, delivery, late=request._task.acks_late)
        expected = expected_by(request._task, info.type)
        self._end(delivery, how, end_mono, error, expected, lambda: failure_of_info(exc, info))

    def _never_began(self, delivery: Delivery, how: HowEnded) -> None:
        """An acknowledgement or rejection with no word said before it is the last word."""
        if not delivery.begun and not delivery.settling:
            self._end(delivery, how)

    def given_back(
        self, *, stopping: bool, pool_drops: bool = True, but: Collection[Delivery] = ()
    ) -> None:
        """Speak for deliveries that Celery drops without a word.

        Args:
            stopping: the worker stops; else only the connection was lost.
            pool_drops: the pool forgets what it has not begun (prefork does, in-process pools
                still run it).
            but: what it forgets as well, and runs all the same; not at a stop.
        """
        now = time.monotonic_ns()
        for delivery in list(self._open):
            if not delivery.begun:
                dropped = (pool_drops and delivery not in but) or not delivery.handed
                if stopping or dropped:
                    self.end(delivery, HowEnded.RETURNED)
            elif stopping:
                late = delivery.task is not None and delivery.task.acks_late
                silent = HowEnded.REQUEUE if late else HowEnded.LOST  # not acknowledged: goes back
                self.end(delivery, _SILENT.get(delivery.reason, silent), now)
