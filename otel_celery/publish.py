"""A message leaves.

`send_task_message` is the one door of apply_async, send_task, canvas and retry. Celery's signals
are blind to a publish that fails; the door sees both ends.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from opentelemetry.trace import SpanKind, get_current_span

from otel_celery import conventions as c
from otel_celery import envelope
from otel_celery.envelope import NO_PARENT, Trace
from otel_celery.facts import Published
from otel_celery.queues.naming import QueueNames
from otel_celery.voice import Brokers, Voice, failure_of

Sender = Callable[..., Any]

_Leaving: TypeAlias = "tuple[tuple[Any, ...], int, tuple[Any, ...], Mapping[str, Any]]"
"""A message on its way through the door: a `Published` up to its start, the monotonic start, and
that fact's `told` and `added`."""
_WITH_BAGGAGE = c.MESSAGE_HEADERS | {c.BAGGAGE}


class Door:
    """Puts context into messages that leave, and tells how each send went."""

    def __init__(self, voice: Voice, brokers: Brokers) -> None:
        self._voice = voice
        self._brokers = brokers
        self._enter = voice.guard.per_task("publish", self._prepare)
        self._left = voice.guard.per_task("published", self._tell)

    def around(self, amqp: Any, send: Sender) -> Sender:
        """Return `send` (of `app.amqp`) with the door around it."""
        enter, left = self._enter, self._left

        @functools.wraps(send)
        def send_task_message(
            producer: Any,
            name: str,
            message: Any,
            exchange: Any = None,
            routing_key: str | None = None,
            queue: Any = None,
            *further: Any,
            headers: Mapping[str, Any] | None = None,
            **options: Any,
        ) -> Any:
            options.pop(c.HANDLE, None)  # Task.retry passes delivery_info on as options
            leaving = enter(amqp, name, message, exchange, routing_key, queue, headers, options)
            if leaving is not None:
                headers = self._without_ours(headers)
                options.setdefault("timestamp", leaving[0][-1] // 1_000_000_000)
            failure: BaseException | None = None
            try:
                return send(
                    producer,
                    name,
                    message,
                    exchange,
                    routing_key,
                    queue,
                    *further,
                    headers=headers,
                    **options,
                )
            except BaseException as exc:
                failure = exc
                raise
            finally:
                if leaving is not None:
                    left(leaving, failure)

        return send_task_message

    def _prepare(
        self,
        amqp: Any,
        name: str,
        message: Any,
        exchange: Any,
        routing_key: str | None,
        queue: Any,
        headers: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> _Leaving:
        broker, names = self._brokers.of(amqp.app)
        carried = message.headers
        given = {**carried, **headers} if headers else carried
        told = carried if "id" in carried else message.body  # protocol 1: the body
        parent, link, origin = _descent(given, told.get("retries") or 0)
        queue_name = _queue_name(amqp, names, exchange, routing_key, queue)
        own = envelope.child_of(parent)
        added = {}
        if options.get("priority") is not None:
            added[c.TASK_PRIORITY] = options["priority"]
        decide = self._voice.decide
        if not decide.by_parent:
            decision = decide(
                parent,
                own.trace_id,
                f"publish {name}",
                SpanKind.PRODUCER,
                {c.MESSAGING_SYSTEM: broker.system, c.QUEUE: queue_name, c.TASK_NAME: name},
            )
            own = Trace(own.trace_id, own.span_id, decision.sampled, decision.state)
            added.update(decision.attributes)
        start_ns, start_mono = time.time_ns(), time.monotonic_ns()
        leaving = (
            Published,
            name,
            told.get("id") or "",
            queue_name,
            broker,
            own,
            parent.span_id if parent is not None else NO_PARENT,
            link,
            start_ns,
        )
        said = envelope.told_by(told)
        envelope.write(carried, own, origin, start_ns / 1e9)
        if self._voice.baggage is not None:
            carried.pop(c.BAGGAGE, None)
            self._voice.baggage.inject(carried)
        return leaving, start_mono, said, added

    def _tell(self, leaving: _Leaving, failure: BaseException | None) -> None:
        begun, start_mono, told, added = leaving
        duration = time.monotonic_ns() - start_mono
        failed = None if failure is None else failure_of(failure)
        self._voice.tell((*begun, duration, failed, told, added))

    def _without_ours(self, headers: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return a caller's headers less those written anew: the sender would let them win."""
        if not headers:
            return None
        ours = c.MESSAGE_HEADERS if self._voice.baggage is None else _WITH_BAGGAGE
        return {key: value for key, value in headers.items() if key not in ours}


def _descent(
    headers: Mapping[str, Any], retries: int
) -> tuple[Trace | None, Trace | None, Trace | None]:
    """Return (parent, link, origin) of a message with these headers.

    A retry carries the headers of the delivery that it retries: its parent is that of the first
    publish, so that attempts are siblings, and it links to the span that asked for it.
    """
    current = current_trace()
    if retries > 0:
        origin = envelope.parse_origin(headers.get(c.ORIGIN))
        if origin is not None:
            return origin, current, origin
        earlier = envelope.parse_traceparent(headers.get(c.TRACEPARENT))
        if earlier is not None:  # the first publish had no parent: a root of the same trace
            return earlier._replace(span_id=NO_PARENT, state=""), current, None
    if current is not None:
        return current, None, current
    given = envelope.parse_traceparent(headers.get(c.TRACEPARENT), headers.get(c.TRACESTATE))
    return given, None, given


def current_trace() -> Trace | None:
    """Return the span around the caller."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return Trace(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        context.trace_flags.sampled,
        envelope.clean_state(context.trace_state.to_header()) if context.trace_state else "",
    )


def _queue_name(
    amqp: Any, names: QueueNames, exchange: Any, routing_key: str | None, queue: Any
) -> str:
    """Return the queue's name for what `send_task_message` was given, by Celery's own rules."""
    if queue is None and exchange is None:
        queue = amqp.default_queue
    if isinstance(queue, str):
        queue = amqp.queues.get(queue, queue)
    if queue is None:
        return names(exchange, routing_key)
    if isinstance(queue, str):
        return queue
    bound = getattr(queue, "exchange", None)
    if bound is None or getattr(bound, "type", "direct") == "direct":
        return str(queue.name)
    return names(exchange or bound, routing_key or queue.routing_key)
