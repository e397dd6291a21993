"""Which span does a fact become?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from otel_celery import conventions as c
from otel_celery import timing
from otel_celery.envelope import NO_PARENT, Trace
from otel_celery.facts import Broker, Delivery, Due, Eager, Ended, Failure, Published
from otel_celery.headers import REPR_LIMIT
from otel_celery.redaction import MESSAGE_LIMIT, STACKTRACE_LIMIT, cut, redacted, redacted_repr
from otel_celery.span import CONSUMER, ERROR, INTERNAL, PRODUCER, UNSET, Event, FinishedSpan, Link

_TOLD = frozenset({c.FAILURE, c.TIMEOUT, c.LOST, c.RETRY, c.UNKNOWN, c.INVALID})


class Notes(NamedTuple):
    """What a pool process told of a delivery, before its result."""

    partial: bytes = b""  # an OTLP Span message
    end_mono: int = 0


class Identity(NamedTuple):
    """What every process span of this worker says of it."""

    worker: str = ""
    pool: str = ""


def process_span(
    ended: Ended, notes: Notes, identity: Identity, queue_wait: float | None
) -> FinishedSpan:
    """Return the one process span of a delivery; one that never began has no length."""
    delivery = ended.delivery
    attributes = _message(c.PROCESS, c.PROCESS, delivery)
    attributes.update(delivery.attributes)
    attributes[c.TASK_STATE] = ended.state
    attributes[c.WORKER_NAME] = identity.worker
    attributes[c.POOL_TYPE] = identity.pool
    if delivery.redelivered:
        attributes[c.TASK_REDELIVERED] = True
    if ended.expected:
        attributes[c.TASK_EXPECTED] = True
    if delivery.result is not None:
        attributes[c.TASK_RESULT] = cut(redacted_repr(str(delivery.result)), REPR_LIMIT)
    if ended.error_type:
        attributes[c.ERROR_TYPE] = ended.error_type
    start_ns = end_ns = ended.end_ns
    if delivery.begun:
        attributes[c.PROCESS_PID] = delivery.pid
        attributes[c.TASK_PREFETCH_WAIT] = timing.prefetch_wait(
            delivery.received_ns / 1e9, delivery.start_ns / 1e9, delivery.due_at or 0.0
        )
        if queue_wait is not None:
            attributes[c.TASK_QUEUE_WAIT] = queue_wait
        start_ns = delivery.start_ns
        end_ns = start_ns + max((notes.end_mono or ended.end_mono) - delivery.start_mono, 0)
    failure = ended.failure() if ended.failure is not None else None
    return _span(
        f"process {delivery.name}",
        CONSUMER,
        delivery.own,
        delivery.parent.span_id if delivery.parent is not None else NO_PARENT,
        start_ns,
        end_ns,
        attributes,
        failure if ended.state in _TOLD else None,
        error=ended.error,
        link=delivery.link,
        remote=True,
        notes=notes.partial,
        description="" if failure else ended.error_type or "",
    )


def publish_span(fact: Published) -> FinishedSpan:
    """Return the span around one send."""
    attributes = _message(c.PUBLISH, c.SEND, fact)
    attributes.update(fact.attributes)
    return _noted(
        f"publish {fact.task}",
        PRODUCER,
        fact,
        fact.parent_id,
        attributes,
        error=fact.failure is not None,
        link=fact.link,
    )


def eager_span(fact: Eager) -> FinishedSpan:
    """Return the span of a task that ran in its caller."""
    attributes: dict[str, Any] = {
        c.TASK_NAME: fact.task,
        c.TASK_STATE: fact.state,
        c.TASK_EAGER: True,
    }
    if fact.expected:
        attributes[c.TASK_EXPECTED] = True
    return _noted(
        f"process {fact.task}",
        INTERNAL,
        fact,
        fact.parent_id,
        attributes,
        error=fact.state == c.FAILURE and not fact.expected,
        notes=fact.notes,
    )


def beat_span(fact: Due) -> FinishedSpan:
    """Return the span of a due entry."""
    attributes: dict[str, Any] = {c.BEAT_ENTRY: fact.entry}
    if fact.lateness is not None:
        attributes[c.BEAT_LATENESS] = fact.lateness
    return _noted(
        f"beat {fact.entry}",
        INTERNAL,
        fact,
        NO_PARENT,
        attributes,
        error=fact.failure is not None,
    )


def _noted(
    name: str,
    kind: int,
    fact: Published | Eager | Due,
    parent_id: str,
    attributes: dict[str, Any],
    *,
    error: bool,
    link: Trace | None = None,
    notes: bytes = b"",
) -> FinishedSpan:
    """Return the span of something whose begin and end were noted in one place."""
    if fact.failure is not None:
        attributes[c.ERROR_TYPE] = fact.failure.type
    end_ns = fact.start_ns + fact.duration_ns
    return _span(
        name,
        kind,
        fact.own,
        parent_id,
        fact.start_ns,
        end_ns,
        attributes,
        fact.failure,
        error=error,
        link=link,
        notes=notes,
    )


def _message(name: str, type_: str, fact: Published | Delivery) -> dict[str, Any]:
    """Return what publish and process spans say of a message."""
    broker: Broker = fact.broker
    attributes: dict[str, Any] = {
        c.MESSAGING_SYSTEM: broker.system,
        c.OPERATION_NAME: name,
        c.OPERATION_TYPE: type_,
        c.QUEUE: fact.queue,
        c.MESSAGE_ID: fact.id,
        c.TASK_NAME: fact.name if isinstance(fact, Delivery) else fact.task,
    }
    if broker.address:
        attributes[c.SERVER_ADDRESS] = broker.address
        attributes[c.SERVER_PORT] = broker.port
    return attributes


def _span(
    name: str,
    kind: int,
    own: Trace,
    parent_id: str,
    start_ns: int,
    end_ns: int,
    attributes: Mapping[str, Any],
    failure: Failure | None,
    *,
    error: bool,
    link: Trace | None = None,
    remote: bool = False,
    notes: bytes = b"",
    description: str = "",
) -> FinishedSpan:
    events: tuple[Event, ...] = ()
    if failure is not None:
        message = cut(redacted(failure.message), MESSAGE_LIMIT)
        description = f"{failure.type}: {message}" if message else failure.type
        told = {c.EXCEPTION_TYPE: failure.qualified, c.EXCEPTION_MESSAGE: message}
        if failure.traceback:
            told[c.EXCEPTION_STACKTRACE] = cut(
                redacted(failure.traceback), STACKTRACE_LIMIT, keep_end=True
            )
        events = (Event(c.EXCEPTION, end_ns, told),)
    links: tuple[Link, ...] = ()
    if link is not None:
        links = (
            Link(int(link.trace_id, 16), int(link.span_id, 16), int(link.sampled), link.state),
        )
    return FinishedSpan(
        name,
        kind,
        int(own.trace_id, 16),
        int(own.span_id, 16),
        int(parent_id, 16),
        start_ns,
        end_ns,
        attributes,
        ERROR if error else UNSET,
        description if error else "",
        events,
        links,
        own.state,
        remote,
        notes,
    )
