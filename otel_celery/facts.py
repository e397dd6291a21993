"""What happened, as noted in the hot path and told later by the speaker?

A fact is made where something happens, in whatever thread Celery calls from, and costs an append.
Where that is once a task, it is made by `started`, `ended` and the like from a tuple of its fields:
a named tuple's own `__new__` takes twice as long.
Instants are Unix nanoseconds; `*_mono` are nanoseconds of the machine's monotonic clock, which all
processes of a host share, so that durations never come from the wall clock.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from otel_celery.envelope import Trace, when_set


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

    It is itself the fact that it was received. What is noted later, or never, stands in the class
    until then, which makes it quick to make.
    """

    task: Any = None  # Celery's; None for a message that named none
    headers: Mapping[str, Any] = MappingProxyType({})  # of the message, until they have been read
    attributes: Mapping[str, Any] = MappingProxyType({})  # of the span, by sampler and headers
    sent_at: float | None = None
    due_at: float | None = None
    redelivered = False
    start_ns = start_mono = end_mono = pid = 0
    reason = ""  # "terminated", "cancelled": noted, spoken when the pool has the last word
    requeue: bool | None = None  # rejected: did the message go back?
    result: Any = None  # as Celery tells it, where results are to be recorded
    handed = False  # given to the pool
    settling = False  # Celery is deciding; acknowledging now is not the last word

    def __init__(
        self,
        name: str,
        id: str,
        queue: str,
        broker: Broker,
        own: Trace,
        parent: Trace | None,
        link: Trace | None,
        received_ns: int,
    ) -> None:
        self.name, self.id, self.queue, self.broker = name, id, queue, broker
        self.own, self.parent, self.link = own, parent, link
        self.received_ns = received_ns
        self.claim = [True]  # popped by whoever speaks: list.pop is atomic

    @property
    def begun(self) -> bool:
        """Did a pool process, thread or greenlet take it?"""
        return self.start_mono > 0


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

published: Callable[[tuple[Any, ...]], Published] = functools.partial(tuple.__new__, Published)
started: Callable[[tuple[Delivery]], Started] = functools.partial(tuple.__new__, Started)
ended: Callable[[tuple[Any, ...]], Ended] = functools.partial(tuple.__new__, Ended)
