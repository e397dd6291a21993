"""What happened, as noted in the hot path and told later by the speaker?

A fact is made where something happens, in whatever thread Celery calls from, and costs an append.
Instants are Unix nanoseconds; `*_mono` are nanoseconds of the machine's monotonic clock, which all
processes of a host share, so that durations never come from the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from otel_celery.envelope import Trace


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
    attributes: Mapping[str, Any]


class Delivery:
    """One delivery of one message to this worker: not one task, an id may run twice at once."""

    __slots__ = (
        "attributes",
        "broker",
        "claim",
        "due_at",
        "end_mono",
        "handed",
        "id",
        "link",
        "name",
        "own",
        "parent",
        "pid",
        "queue",
        "reason",
        "received_ns",
        "redelivered",
        "requeue",
        "result",
        "sent_at",
        "settling",
        "start_mono",
        "start_ns",
        "task",
    )

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
        self.attributes: dict[str, Any] = {}  # what the sampler and the headers add to the span
        self.task: Any = None  # Celery's; None for a message that named none
        self.sent_at: float | None = None
        self.due_at: float | None = None
        self.redelivered = False
        self.start_ns = self.start_mono = self.end_mono = self.pid = 0
        self.claim = [True]  # popped by whoever speaks: list.pop is atomic
        self.reason = ""  # "terminated", "cancelled": noted, spoken when the pool has the last word
        self.requeue: bool | None = None  # rejected: did the message go back?
        self.result: Any = None  # as Celery tells it, where results are to be recorded
        self.handed = False  # given to the pool
        self.settling = False  # Celery is deciding; acknowledging now is not the last word

    @property
    def begun(self) -> bool:
        """Did a pool process, thread or greenlet take it?"""
        return self.start_mono > 0


class Received(NamedTuple):
    """A message became a delivery."""

    delivery: Delivery
    headers: Mapping[str, Any]


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
    "Published | Received | Started | Ended | Eager | Due | PoolProcessExited | Connected"
)
