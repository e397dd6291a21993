"""What happened, as noted in the hot path and told later by the speaker?

A fact is made where something happens, in whatever thread Celery calls from, and costs an append.
Instants are Unix nanoseconds; `*_mono` are nanoseconds of the machine's monotonic clock, which all
processes of a host share, so that durations never come from the wall clock.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast

from otel_celery.envelope import Trace, trace_of, when_set

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Failure(NamedTuple):
    """An exception as text, made where the exception is."""

    type: str  # class name, for error.type
    qualified: str  # module.qualname, for exception.type
    message: str
    traceback: str


class Broker(NamedTuple):
    """Where messages go; of its URL only host and port, never a credential."""

    system: str
    address: str  # "": not on a network
    port: int


class Published(NamedTuple):
    """One call of the door through which every task message leaves."""

    task: str
    id: str
    queue: str
    broker: Broker
    own: Trace
    parent_id: str
    link: Trace | None
    start_ns: int
    duration_ns: int
    failure: Failure | None
    told: Sequence[Any]  # by Celery's own headers, see `envelope.told_by`
    added: Mapping[str, Any]  # to the span, by options and sampler

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What belongs to this one span only."""
        return {**when_set(self.told), **self.added}


class Delivery:
    """One delivery of one message to this worker: not one task, an id may run twice at once.

    It is itself the fact that it was received. Contexts are text until the speaker asks for them.

    Args:
        name: of the task.
        id: of the task.
        queue: where the message came from.
        broker: whose queue that is.
        traceparent: of the process span.
        tracestate: of the process span.
        sender: both of the span that the message came from.
        received_ns: when it came.
    """

    # Noted for few, and so kept in the class until then.
    attributes: Mapping[str, Any] = _NOTHING  # of the span, by sampler and headers
    linked = False  # the sender is no parent
    reason = ""  # "terminated", "cancelled": noted, spoken when the pool has the last word
    requeue: bool | None = None  # rejected: did the message go back?
    result: Any = None  # as Celery tells it, where results are to be recorded
    settling = False  # Celery is deciding; acknowledging now is not the last word
    sent_at: float | None = None
    due_at: float | None = None

    def __init__(
        self,
        name: str,
        id: str,
        queue: str,
        broker: Broker,
        traceparent: str,
        tracestate: str,
        sender: tuple[str, str] | None,
        received_ns: int,
    ) -> None:
        self.name, self.id, self.queue, self.broker = name, id, queue, broker
        self.traceparent, self.tracestate, self.sender = traceparent, tracestate, sender
        self.received_ns = received_ns
        self.task: Any = None  # Celery's; None for a message that named none
        self.headers: Mapping[str, Any] = _NOTHING  # of the message, until they have been read
        self.redelivered = self.handed = False  # handed: given to the pool
        self.start_ns = self.start_mono = self.end_mono = self.pid = 0
        self.runtime: float | None = None  # seconds, as the pool says of a success

    @property
    def begun(self) -> bool:
        """Did a pool process, thread or greenlet take it?"""
        return self.start_mono > 0

    @functools.cached_property
    def own(self) -> Trace:
        """Context of the process span."""
        return trace_of(self.traceparent, self.tracestate)

    @property
    def parent(self) -> Trace | None:
        """Of the process span."""
        return None if self.sender is None or self.linked else trace_of(*self.sender)

    @property
    def link(self) -> Trace | None:
        """Of the process span."""
        return trace_of(*self.sender) if self.sender is not None and self.linked else None


class Started(NamedTuple):
    """The pool took a delivery."""

    delivery: Delivery


class Ended(NamedTuple):
    """The last word on a delivery."""

    delivery: Delivery
    state: str
    error_type: str | None
    error: bool
    expected: bool
    end_ns: int
    end_mono: int  # 0: it never began
    failure: Callable[[], Failure] | None  # made by the speaker: str() of an exception may be slow


class Eager(NamedTuple):
    """A task ran in its caller, without a message."""

    task: str
    id: str
    own: Trace
    parent_id: str
    start_ns: int
    duration_ns: int
    state: str
    failure: Failure | None
    expected: bool
    notes: bytes


class Due(NamedTuple):
    """Beat sent an entry that had become due."""

    entry: str
    own: Trace
    start_ns: int
    duration_ns: int
    lateness: float | None
    failure: Failure | None


class PoolProcessExited(NamedTuple):
    """A pool process is gone."""

    pid: int
    reason: str


class Connected(NamedTuple):
    """The consumer reached the broker (again)."""

    again: bool


Fact: TypeAlias = (
    "Published | Delivery | Started | Ended | Eager | Due | PoolProcessExited | Connected"
)
Told: TypeAlias = "Fact | tuple[Any, ...]"
"""A fact; or its class and its fields, of which the speaker makes it: that is not quick."""


def made(told: Told) -> Fact:
    """Return the fact that was told."""
    if type(told) is tuple:
        fact: Fact = told[0]._make(told[1:])
        return fact
    return cast("Fact", told)
