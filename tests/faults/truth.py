"""What did tasks really do, and does the telemetry say so?

Each run of a task of `ends_app` notes itself in Redis. `told` holds the spans of one worker
against that; `exact` says what must agree for otel-celery.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis

from tests.receiver import Receiver
from tests.worker import harness
from tests.worker.harness import CONSUMER, Seen

OUTCOMES, CONSUMED = "celery.task.outcomes", "messaging.client.consumed.messages"
HELD, EXITS = "celery.worker.task.count", "celery.worker.pool.process.exits"


class Told(NamedTuple):
    """What ran, and the spans that were told of it."""

    began: Sequence[str]  # runs, each "task id, id of its own"
    ended: Sequence[str]
    spans: Sequence[Seen]

    def __repr__(self) -> str:
        return f"{len(self.began)} began, {len(self.ended)} ended, {len(self.spans)} spans"

    @property
    def process(self) -> Mapping[str, Sequence[Seen]]:
        """Process spans by task id, in the order in which they began."""
        return harness.deliveries(self.spans)

    def states(self, ids: Sequence[str]) -> Counter[str]:
        """Return what otel-celery says of the deliveries of these messages."""
        found = self.process
        return Counter(
            one.attributes["celery.task.state"] for id_ in ids for one in found.get(id_, ())
        )

    @property
    def run_spans(self) -> int:
        """How many deliveries that ran have a process span."""
        ran, found = Counter(run.split()[0] for run in self.began), self.process
        return sum(min(times, len(found.get(id_, ()))) for id_, times in ran.items())

    def children(self, name: str) -> Counter[str]:
        """Return how often a child span was told of, by run."""
        return Counter(one.attributes["run"] for one in self.spans if one.span.name == name)

    @property
    def inner_spans(self) -> int:
        """How many runs have the child span that they ended first."""
        return len(set(self.began) & set(self.children("inner")))


def told(url: str, receiver: Receiver) -> Told:
    """Return what ran by the test's Redis, and what was told by now."""
    with redis.Redis.from_url(url.removesuffix("/0") + "/1") as truth:
        began, ended = (
            [run.decode() for run in truth.lrange(name, 0, -1)] for name in ("began", "ended")
        )
    return Told(began, ended, harness.spans(receiver))


def outcomes(receiver: Receiver) -> Counter[str]:
    """Return what was counted, by state."""
    counted: Counter[str] = Counter()
    for point in harness.points(receiver, OUTCOMES):
        counted[point.attributes["celery.task.state"]] += int(point.value)
    return +counted


def exact(found: Told, receiver: Receiver, *, interrupted: int = 0) -> None:
    """See that all that ran was told once, in its place, and that the counts close.

    Args:
        interrupted: process spans there may be of tasks that had begun and were ended before
            they could note it.
    """
    assert found.children("inner") == Counter(found.began), "each child span once"
    assert not Counter(found.ended) - found.children("outer")
    by_id = {one.id: one for one in found.spans}
    assert len(by_id) == len(found.spans), "no span twice"
    assert not {one.parent for one in found.spans if one.parent} - set(by_id), "no orphan"
    ran = Counter(run.split()[0] for run in found.began)
    begun = Counter(
        id_ for id_, each in found.process.items() for one in each
        if "process.pid" in one.attributes
    )  # fmt: skip
    assert not ran - begun, "each run has a process span"
    assert (begun - ran).total() <= interrupted
    for one in found.spans:
        if one.span.name in ("inner", "outer"):
            parent = by_id[one.parent]
            assert parent.span.kind == CONSUMER
            assert parent.trace == one.trace
            assert parent.attributes["messaging.message.id"] == one.attributes["run"].split()[0]
            assert parent.attributes.get("run", one.attributes["run"]) == one.attributes["run"]
    counted = outcomes(receiver)
    spoken = Counter(
        one.attributes["celery.task.state"] for each in found.process.values() for one in each
    )
    returned = counted.pop("returned", 0)  # these were never this worker's: they have no span
    assert counted == spoken
    assert harness.total(receiver, CONSUMED) == counted.total() + returned
    assert {point.value for point in harness.points(receiver, HELD)} == {0}
    for metric in ("otel_celery.faults", "otel_celery.relay.dropped"):
        assert harness.points(receiver, metric) == []
