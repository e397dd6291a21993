"""Which deliveries have ended, and which of them is somebody looking for?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from otel_celery import conventions as c
from otel_celery.view.records import Failure, Snapshot, Span

BAD = frozenset({c.FAILURE, c.TIMEOUT, c.LOST, c.UNKNOWN, c.INVALID})


@dataclass(frozen=True)
class Delivery:
    """One process span, in the words of a person who knows Celery. Instants are Unix seconds."""

    task_id: str
    task: str
    state: str
    queue: str
    worker: str
    sent: float | None  # None: its publish span is not here
    received: float | None  # by the worker; None: it never began
    started: float
    ended: float
    wait: float | None  # seconds that it was due and had not started
    retries: int
    expected: bool
    redelivered: bool
    error_type: str
    failure: Failure | None
    trace_id: str
    span_id: str


class Wanted(NamedTuple):
    """What somebody looks for; an empty field finds all."""

    text: str = ""  # anywhere: task id, trace id, task, worker, queue, error
    task_id: str = ""
    task: str = ""
    state: str = ""
    worker: str = ""

    def matches(self, one: Delivery) -> bool:
        ids = one.task_id, one.trace_id
        words = one.task, one.worker, one.queue, one.error_type
        text = self.text.lower()
        return (
            one.task_id.startswith(self.task_id)
            and self.task in ("", one.task)
            and self.state in ("", one.state)
            and self.worker in ("", one.worker)
            and (
                any(name.lower().startswith(text) for name in ids)
                or any(text in word.lower() for word in words)
            )
        )


def deliveries(snapshot: Snapshot) -> list[Delivery]:
    """Return all deliveries of which a process span is here, the last to end first."""
    found = [
        read_delivery(span, spans)
        for spans in snapshot.traces.values()
        for span in spans.values()
        if c.TASK_STATE in span.attributes
    ]
    return sorted(found, key=lambda one: one.ended, reverse=True)


def read_delivery(span: Span, spans: Mapping[str, Span]) -> Delivery:
    told = span.attributes
    publish = spans.get(span.parent_id)
    if publish is None or publish.kind != "producer":
        publish = None
    prefetch = seconds(told.get(c.TASK_PREFETCH_WAIT))
    return Delivery(
        task_id=str(told.get(c.MESSAGE_ID, "")),
        task=str(told.get(c.TASK_NAME, "")),
        state=str(told[c.TASK_STATE]),
        queue=str(told.get(c.QUEUE, "")),
        worker=str(told.get(c.WORKER_NAME, "")),
        sent=publish.start if publish else None,
        received=None if prefetch is None else span.start - prefetch,
        started=span.start,
        ended=span.end,
        wait=seconds(told.get(c.TASK_QUEUE_WAIT)),
        retries=int(seconds(told.get(c.TASK_RETRIES)) or 0),
        expected=bool(told.get(c.TASK_EXPECTED)),
        redelivered=bool(told.get(c.TASK_REDELIVERED)),
        error_type=str(told.get(c.ERROR_TYPE, "")),
        failure=span.failure,
        trace_id=span.trace_id,
        span_id=span.span_id,
    )


def seconds(told: object) -> float | None:
    return float(told) if isinstance(told, (int, float)) else None


def failures(found: list[Delivery]) -> Iterator[Delivery]:
    """Yield those that ended badly: expected failures too, retries not."""
    return (one for one in found if one.state in BAD)
