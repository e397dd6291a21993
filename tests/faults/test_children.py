"""Do processes that a task forks tell anything twice, or harm the one that they came from?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import redis

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import CONTRIB, OURS, Side
from tests.faults.truth import exact, told
from tests.receiver import Receiver
from tests.waiting import eventually

ONE = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "1")


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.parametrize(
    ("how", "child"),
    [
        pytest.param("forks", "of a process", id="forks"),
        pytest.param("daemonises", "of a daemon", id="daemonises"),
    ],
)
@pytest.mark.fault("fork-in-a-task")
def test_a_forked_process_tells_its_own_and_nothing_twice(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side,
    how: str, child: str,
) -> None:  # fmt: skip
    """The child publishes within a span; the message comes back to the worker."""
    environ = sides.environment(side, redis_url, receiver)
    sides.send_all(environ, ("run", 5, (), {}), ("run", 2, (how,), {}), ("run", 5, (), {}))
    with sides.worker(tmp_path, environ, *ONE, app="ends_app") as worker:
        eventually(lambda: len(told(redis_url, receiver).ended) >= 14)
        eventually(lambda: side == CONTRIB or names(receiver)[child] == 2)
        if side == CONTRIB:
            sides.quiet(receiver)
        assert worker.stop() == 0
    found = told(redis_url, receiver)
    assert len(found.began) == len(found.ended) == 14
    with redis.Redis.from_url(environ["CASES_BACKEND"]) as truth:
        assert truth.lrange("crashed", 0, -1) == []
    spans = Counter(one.id for one in found.spans)
    measured(f"{how}: spans told twice", side, (spans - Counter(list(spans))).total())
    measured(f"{how}: runs with their process span", side, f"{found.run_spans} of 14")
    measured(f"{how}: spans of the forked processes", side, f"{names(receiver)[child]} of 2")
    if side == OURS:
        exact(found, receiver)
        assert names(receiver)[child] == 2
        ends = {one.attributes["process.pid"] for each in found.process.values() for one in each}
        assert len(ends) == 1, "the pool process has survived"


def names(receiver: Receiver) -> Counter[str]:
    """Return how often a span of each name was told."""
    return Counter(span.name for span in receiver.spans)
