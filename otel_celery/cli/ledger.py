"""Where is every message that was published?"""

from __future__ import annotations

from dataclasses import dataclass

from otel_celery import conventions as c
from otel_celery.view.figures import add_up, queue_rows
from otel_celery.view.records import Snapshot

COMES_AGAIN = (c.REQUEUED, c.RETURNED)
"""States of a delivery that ended while its message did not: it is delivered once more."""


@dataclass(frozen=True)
class Ledger:
    """`published = ended + waiting + running`, for messages, over all processes.

    Beside it, for deliveries, `received = spoken + held`: workers know the fate of each.
    """

    published: int
    ended: int
    waiting: int | None  # in queues or in a worker's memory. None: a queue's depth is not known
    running: int
    received: int
    spoken: int  # deliveries with an outcome
    held: int  # deliveries that a worker has: active, reserved, scheduled

    @property
    def holds(self) -> bool:
        return not self.gaps()

    @property
    def at_rest(self) -> bool:
        """Nothing waits, nothing runs, and what was published has ended."""
        return self.waiting == 0 and self.running == 0 and self.published == self.ended

    def gaps(self) -> list[str]:
        """Say what does not add up, a line for each; empty when all does."""
        gaps = []
        if not self.published:
            gaps.append(f"no published message was counted ({c.SENT_MESSAGES.name})")
        if self.waiting is None:
            gaps.append(f"the depth of a queue is not known ({c.QUEUE_DEPTH.name})")
        elif rest := self.published - self.ended - self.waiting - self.running:
            gaps.append(apart(rest, "published", "ended, waiting or running"))
        if rest := self.received - self.spoken - self.held:
            gaps.append(apart(rest, "received by workers", "given an outcome or held"))
        return gaps


def apart(rest: int, told: str, found: str) -> str:
    if rest > 0:
        return f"{rest} of the messages {told} are not {found}"
    return f"{-rest} more messages are {found} than were {told}"


def build_ledger(snapshot: Snapshot, now: float) -> Ledger:
    """Add up where messages are.

    A retry and a step of a canvas are messages of their own, published by a worker. A delivery
    that was requeued or returned is not an end.

    Args:
        snapshot: what arrived.
        now: Unix seconds; a depth read long before is not known.
    """
    published = add_up(snapshot, c.SENT_MESSAGES, c.QUEUE, without=c.ERROR_TYPE)
    received = add_up(snapshot, c.CONSUMED_MESSAGES, c.QUEUE)
    outcomes = add_up(snapshot, c.OUTCOMES, c.TASK_STATE)
    held = add_up(snapshot, c.TASK_COUNT, c.HELD_STATE)
    depths = [row.waiting for row in queue_rows(snapshot, now)]
    known = [depth for depth in depths if depth is not None]
    in_queues = sum(known) if len(known) == len(depths) else None
    return Ledger(
        published=published.total(),
        ended=outcomes.total() - sum(outcomes[state] for state in COMES_AGAIN),
        waiting=None if in_queues is None else in_queues + held["reserved"] + held["scheduled"],
        running=held["active"],
        received=received.total(),
        spoken=outcomes.total(),
        held=held.total(),
    )
