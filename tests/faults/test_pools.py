"""Is the same told in every pool, and however the worker came to be?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import CONTRIB, OURS, Side
from tests.faults.truth import exact, outcomes, told
from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker.background import background

ALONE = ("--without-mingle", "--without-gossip")
TASKS = 20
SPAWN = {"START_METHOD": "spawn"}
IN_MAIN = {"WATCHED_IN": "main"}
"""Where contrib has to be switched on when tasks run in main: no pool process begins."""
POOLS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "prefork": (("-c", "2"), {}),
    "spawn": (("-c", "2"), SPAWN),
    "solo": (("-P", "solo"), IN_MAIN),
    "threads": (("-P", "threads", "-c", "2"), IN_MAIN),
    "gevent": (("-P", "gevent", "-c", "2"), IN_MAIN),
    "eventlet": (("-P", "eventlet", "-c", "2"), IN_MAIN),
    "prefork with -B": (("-c", "2", "-B"), {"EACH_SECOND": "1"}),
}


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.fault("every-pool")
def test_every_pool_tells_the_same(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, pool: str, side: Side
) -> None:
    if pool in ("gevent", "eventlet"):
        pytest.importorskip(pool)
    arguments, variables = POOLS[pool]
    environ = sides.environment(side, redis_url, receiver, **variables)
    schedule = ("-s", str(tmp_path / "schedule")) if "-B" in arguments else ()
    ids = sides.send_all(environ, ("run", TASKS - 4, (), {}), ("run", 4, ("fails",), {}))
    with sides.worker(tmp_path, environ, *ALONE, *arguments, *schedule, app="ends_app") as worker:
        eventually(lambda: len(told(redis_url, receiver).began) >= TASKS + 2 * bool(schedule))
        if side == CONTRIB:
            sides.quiet(receiver)
        assert worker.stop() == 0
    judge(redis_url, receiver, measured, pool, side, ids)


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.parametrize("how", ["multi", "detach"])
@pytest.mark.fault("every-pool")
def test_a_worker_in_the_background_tells_the_same(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, how: str, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver, WATCHED_IN="pool")
    sending = sides.environment(side, redis_url, receiver)
    ids = sides.send_all(sending, ("run", TASKS - 4, (), {}), ("run", 4, ("fails",), {}))
    arguments = (*ALONE, "-c", "2")
    with background(tmp_path, environ, how, *arguments, app="ends_app"):
        eventually(lambda: len(told(redis_url, receiver).began) >= TASKS)
        if side == CONTRIB:
            sides.quiet(receiver)
    judge(redis_url, receiver, measured, f"celery {how}", side, ids)


def judge(
    url: str, receiver: Receiver, measured: Measured, name: str, side: Side, ids: list[str]
) -> None:
    """Note what was told, and hold ours against what ran."""
    found = told(url, receiver)
    assert {run.split()[0] for run in found.began} >= set(ids)
    both = min(found.run_spans, found.inner_spans)
    measured(f"{name}: runs with process and child span", side, f"{both} of {len(found.began)}")
    if side == OURS:
        exact(found, receiver)
        assert found.states(ids) == {"success": TASKS - 4, "failure": 4}
        assert outcomes(receiver).total() == len(found.began)
