"""Is one word said of each attempt, where a task retries for long?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import redis

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, OURS, Side
from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.harness import PRODUCER, Seen

RETRIES = 50


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("fifty-retries")
def test_retries_do_not_grow(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    sides.program(environ, "contents_app.py", json.dumps([["retries", [RETRIES], {}]]))
    with (
        sides.worker(tmp_path, environ, *sides.QUIET, app="contents_app") as worker,
        redis.Redis.from_url(redis_url) as broker,
    ):
        eventually(lambda: broker.llen("sizes") > RETRIES, 300)
        sides.drained(redis_url)
        sides.exported(side, receiver, RETRIES + 1)
        assert worker.stop() == 0
        sizes = [int(one) for one in broker.lrange("sizes", 0, -1)]
    grown = max(sizes[1:]) - min(sizes[1:])
    measured("largest message", side, f"{max(sizes):,} bytes")
    if side == ALONE:
        return
    seen = harness.spans(receiver)
    by_id = {one.id: one for one in seen}
    process = [one for each in harness.deliveries(seen).values() for one in each]
    measured("process spans that arrived", side, f"{len(process)} of {RETRIES + 1}")
    measured("child of the publish that caused them", side, sum(
        by_id[one.parent].span.kind == PRODUCER for one in process if one.parent in by_id
    ))  # fmt: skip
    measured(
        "longest chain of parents", side, max(map(len, (chain(one, by_id) for one in process)))
    )
    if side == OURS:
        assert len(process) == len({one.parent for one in process}) == RETRIES + 1
        published = [by_id[one.parent] for one in process]
        assert {one.span.kind for one in published} == {PRODUCER}
        assert {one.trace for one in seen} == {process[0].trace}
        linked = [link.span_id.hex() for one in published for link in one.span.links]
        assert sorted(linked) == sorted(one.id for one in process[:-1])
        assert grown <= 4  # digits of retries and stamps


def chain(one: Seen, by_id: Mapping[str, Seen]) -> list[str]:
    """Return a span and all that it descends from."""
    found = [one.id]
    while (one_parent := by_id[found[-1]].parent) in by_id:
        found.append(one_parent)
    return found
