"""What do we make of a Collector's answers, and of none at all?"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.faults import accounts, sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, OURS, WATCHING, Side
from tests.receiver import Answer, Received, Receiver
from tests.waiting import eventually

WORKER = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
TASKS = 50


def for_spans(receiver: Receiver, answer: Answer) -> None:
    """Answer requests for spans like that, all others well: metrics say what became of them."""
    receiver.usual = lambda path: answer if path.endswith("/v1/traces") else Receiver.well(path)


def asked(receiver: Receiver) -> list[Received]:
    """Return the requests for spans."""
    return [request for request in receiver.received if request.path.endswith("/v1/traces")]


def pauses(requests: list[Received]) -> list[float]:
    """Return the seconds between two requests of a connection: each process has its own."""
    connections = {request.connection for request in requests}
    return [
        there.at - here.at
        for one in connections
        for here, there in pairwise(each for each in requests if each.connection == one)
    ]


@pytest.mark.long
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-busy")
def test_a_busy_collector_is_asked_as_often_as_it_wants(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    for_spans(receiver, Answer(503, {"Retry-After": "2"}))
    sides.send(sides.environment(ALONE, redis_url, receiver), "quick", TASKS)
    with sides.worker(tmp_path, environ, *WORKER) as worker:
        eventually(lambda: worker.log.count("succeeded in") == TASKS, 240)
        main = psutil.Process(worker.process.pid)
        eventually(lambda: asked(receiver))
        time.sleep(6.0)
        polite, before = asked(receiver), _cpu(main)
        for_spans(receiver, Answer(503, {"Retry-After": "0"}))
        time.sleep(6.0)
        hasty, spent = asked(receiver)[len(polite) :], _cpu(main) - before
        receiver.usual = receiver.well
        if side == OURS:
            eventually(lambda: accounts.spans(receiver).arrived == TASKS)
        else:
            time.sleep(12.0)
        assert worker.stop() == 0
    shortest = min(pauses(polite), default=0.0)
    measured("shortest pause where 2 s were asked for", side, f"{shortest:.1f} s")
    measured("requests in 6 s where none was asked for", side, len(hasty))
    measured("CPU time of the worker in these 6 s", side, f"{spent:.1f} s")
    measured("process spans that arrived", side, accounts.spans(receiver).of(TASKS))
    if side == OURS:
        assert shortest > 1.9
        assert len(hasty) <= 12
        assert accounts.dropped(receiver) == 0


@pytest.mark.long
@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-refuses")
def test_what_is_refused_is_dropped_once_and_counted(
    tmp_path: Path,
    redis_url: str,
    receiver: Receiver,
    measured: Measured,
    side: Side,
    status: int,
) -> None:
    each = 10
    made = TASKS * (each + 1)
    environ = sides.environment(side, redis_url, receiver)
    for_spans(receiver, Answer(status))
    sides.send(sides.environment(ALONE, redis_url, receiver), "bursts", TASKS, each)
    with sides.worker(tmp_path, environ, *WORKER, app="collector_app") as worker:
        eventually(lambda: worker.log.count("succeeded in") == TASKS, 240)
        if side == OURS:
            eventually(lambda: accounts.dropped(receiver) == made)
        else:
            time.sleep(8.0)
        assert worker.stop() == 0
    measured(f"requests, {status}", side, len(asked(receiver)))
    if side == OURS:
        measured(
            f"spans counted as dropped, {status}", side, f"{accounts.dropped(receiver)} of {made}"
        )
        assert accounts.dropped(receiver) == made
        assert len(asked(receiver)) < made / 5


@pytest.mark.long
@pytest.mark.fault("collector-silent-for-metrics")
def test_silence_about_metrics_costs_no_span(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured
) -> None:
    """Contrib has no metrics."""
    receiver.usual = lambda path: (
        Answer(stall=True) if path.endswith("/v1/metrics") else Receiver.well(path)
    )
    environ = sides.environment(OURS, redis_url, receiver)
    with sides.worker(tmp_path, environ, *WORKER) as worker:
        eventually(lambda: receiver.metrics)
        sides.send(sides.environment(ALONE, redis_url, receiver), "inner", TASKS)
        eventually(lambda: worker.log.count("succeeded in") == TASKS, 240)
        worker.stop()
    processes, inner = accounts.spans(receiver), accounts.spans(receiver, name="inner")
    measured("process spans that arrived", OURS, processes.of(TASKS))
    measured("child spans that arrived", OURS, inner.of(TASKS))
    assert processes == inner == (TASKS, 0)


def _cpu(main: psutil.Process) -> float:
    """Return the CPU seconds of a worker by now."""
    spent = 0.0
    for each in (main, *main.children(recursive=True)):
        times = each.cpu_times()
        spent += times.user + times.system
    return spent
