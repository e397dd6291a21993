"""What is told when a worker is stopped, however roughly, in the middle of its work?"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest
import redis
from celery import Celery

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, OURS, Side
from tests.faults.truth import exact, told
from tests.receiver import receiving
from tests.waiting import eventually
from tests.worker import harness

TWO = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
BUDGET, SLACK = 3.0, 15.0  # seconds: of the last export; for a machine that does much else


class Stop(NamedTuple):
    """Signals, one after the other; how long a task lasts; what is set."""

    signals: tuple[int, ...]
    seconds: float
    variables: Mapping[str, str] = MappingProxyType({})


TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
STOPS = {
    "warm": Stop((TERM,), 0.2),
    "soft": Stop((QUIT,), 0.2, {"SOFT_SHUTDOWN": "2"}),
    "cold": Stop((QUIT,), 30),
    "Ctrl-C twice": Stop((INT, INT), 30),
    "SIGTERM as SIGQUIT": Stop((TERM,), 30, {"REMAP_SIGTERM": "SIGQUIT"}),
    "hard": Stop((QUIT, QUIT, QUIT), 30, {"SOFT_SHUTDOWN": "60"}),
}


def left(url: str) -> list[str]:
    """Return the ids of the messages that the broker still has."""
    with redis.Redis.from_url(url) as broker:
        waiting = [json.loads(one) for one in broker.lrange("celery", 0, -1)]
        unacked = [json.loads(one)[0] for one in broker.hvals("unacked")]
    return [one["headers"]["id"] for one in waiting + unacked]


@pytest.mark.long
@pytest.mark.parametrize("how", STOPS)
@pytest.mark.fault("stopped")
def test_a_stop_accounts_for_each_message(tmp_path: Path, measured: Measured, how: str) -> None:
    stop = STOPS[how]
    lasted: dict[Side, float] = {}
    for side in sides.SIDES:
        folder = tmp_path / side
        folder.mkdir()
        with harness.broker(folder) as url, receiving() as receiver:
            environ = sides.environment(side, url, receiver, **stop.variables)
            args = ("sleeps", stop.seconds)
            ids = sides.send_all(
                environ, ("run", 9, (), {}), ("late", 9, (), {}),
                *[("run", 1, args, {}), ("late", 1, args, {})] * 20,
            )  # fmt: skip
            with sides.worker(folder, environ, *TWO, app="ends_app") as worker:
                eventually(lambda: len(told(url, receiver).began) >= 20)
                if stop.seconds > 1:  # Celery cancels what main knows to have begun
                    eventually(partial(knows_of, 2, url))
                for each in stop.signals[:-1]:
                    said = shutdowns(worker)
                    worker.process.send_signal(each)
                    eventually(partial(more_than, worker, said))
                began = time.monotonic()
                worker.stop(stop.signals[-1])
                lasted[side] = time.monotonic() - began
            found = told(url, receiver)
            if side != ALONE:
                spans = f"{found.run_spans} of {len(found.began)}"
                measured(f"{how}: runs with their process span", side, spans)
            if side == OURS:
                exact(found, receiver, interrupted=2)
                back = left(url)
                done = {
                    id_ for id_, each in found.process.items() for one in each
                    if one.attributes["celery.task.state"] != "requeued"
                }  # fmt: skip
                assert len(back) == len(set(back))
                assert sorted([*done, *back]) == sorted(ids), "told as done, or still waiting"
                sums = f"{len(done)} + {len(back)} = {len(ids)}"
                measured(f"{how}: told as done + still in the queue = sent", side, sums)
    for side, seconds in lasted.items():
        measured(f"{how}: seconds to stop", side, f"{seconds:.1f}")
    assert lasted[OURS] < lasted[ALONE] + BUDGET + SLACK


def knows_of(tasks: int, url: str) -> bool:
    """Has the worker's main heard that so many tasks have begun?"""
    with Celery(broker=url, set_as_current=False) as client:
        answers = client.control.inspect(timeout=5, limit=1).active() or {}
    return sum(map(len, answers.values())) == tasks


def shutdowns(worker: harness.Worker) -> int:
    return worker.log.lower().count("shutdown")


def more_than(worker: harness.Worker, said: int) -> bool:
    """Has Celery said one more thing of its stop?"""
    return shutdowns(worker) > said
