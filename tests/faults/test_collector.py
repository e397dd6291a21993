"""What happens while the Collector is not there, or takes its time?"""

from __future__ import annotations

import re
import time
from pathlib import Path

import psutil
import pytest

from tests.faults import accounts, sides
from tests.faults.accounts import PROCESSED, later, seconds
from tests.faults.results import Measured
from tests.faults.sides import ALONE, OURS, SIDES, WATCHING, Side
from tests.receiver import Answer, Receiver, receiving
from tests.services import free_port
from tests.waiting import eventually
from tests.worker import harness

WORKER = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
TASKS = 100
BURST, ROOM = 52_000, 50_000
SLACK = 10.0  # seconds, for a machine that has much else to do
OUTCOMES = "celery.task.outcomes"
LOST = re.compile(r"otel-celery: (\d+) spans did not get through .* (\d+) were dropped in all")


def refuse_spans(path: str) -> Answer:
    """Be busy for spans, and well for metrics: they say what became of the spans."""
    return Answer(503) if path.endswith("/v1/traces") else Receiver.well(path)


@pytest.mark.long
@pytest.mark.fault("collector-absent-at-start")
def test_a_worker_starts_without_a_collector(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured
) -> None:
    """Twice each, in turn: the quicker start of each side is the least disturbed."""
    starts: dict[Side, float] = {}
    for side in SIDES * 2:
        endpoint = f"http://127.0.0.1:{free_port()}"
        environ = sides.environment(
            side, redis_url, receiver, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_CELERY_FLUSH_TIMEOUT="0.1",
        )  # fmt: skip
        began = time.monotonic()
        with sides.worker(tmp_path, environ, *WORKER) as worker:
            took = time.monotonic() - began
            starts[side] = min(took, starts.get(side, took))
            worker.stop()
    for side in WATCHING:
        measured("ready later than Celery alone", side, later(starts[side], starts[ALONE]))
    assert starts[OURS] < starts[ALONE] + SLACK


@pytest.mark.long
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-absent-at-start")
def test_what_was_told_to_nobody_arrives_when_it_comes(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environ = sides.environment(side, redis_url, receiver, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    sides.send(sides.environment(ALONE, redis_url, receiver), "inner", TASKS)
    with sides.worker(tmp_path, environ, *WORKER) as worker:
        sides.drained(redis_url)
        eventually(lambda: worker.log.count("succeeded in") == TASKS, 240)
        time.sleep(12.0)  # longer than an exporter of the SDK tries
        with receiving(port) as back:
            if side == OURS:
                eventually(lambda: accounts.spans(back).arrived == TASKS)
            else:
                time.sleep(12.0)
            assert worker.stop() == 0
            processes, inner = accounts.spans(back), accounts.spans(back, name="inner")
            measured("process spans that arrived", side, processes.of(TASKS))
            measured("child spans that arrived", side, inner.of(TASKS))
            if side == OURS:
                counted = harness.total(back, OUTCOMES, celery__task__state="success")
                measured("outcomes counted", side, f"{counted:g} of {TASKS}")
                assert (processes, inner, counted) == ((TASKS, 0), (TASKS, 0), TASKS)


@pytest.mark.long
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-dies-and-returns")
def test_a_collector_that_dies_and_returns_costs_nothing(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environ = sides.environment(side, redis_url, receiver, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    silent = sides.environment(ALONE, redis_url, receiver)

    def run(worker: harness.Worker, upto: int) -> None:
        sides.send(silent, "quick", TASKS)
        eventually(lambda: worker.log.count("succeeded in") == upto)

    with sides.worker(tmp_path, environ, *WORKER) as worker:
        with receiving(port) as before:
            run(worker, TASKS)
            eventually(lambda: accounts.spans(before).arrived)
        run(worker, 2 * TASKS)
        time.sleep(15.0)
        with receiving(port) as after:
            run(worker, 3 * TASKS)
            if side == OURS:
                eventually(lambda: accounts.spans(before, after).arrived == 3 * TASKS)
            else:
                time.sleep(12.0)
            assert worker.stop() == 0
            processes = accounts.spans(before, after)
            measured("process spans that arrived", side, processes.of(3 * TASKS))
            if side == OURS:
                counted = harness.total(after, OUTCOMES, celery__task__state="success")
                measured("outcomes counted", side, f"{counted:g} of {3 * TASKS}")
                measured("spans counted as dropped", side, accounts.dropped(after))
                assert counted == 3 * TASKS
                assert accounts.dropped(after) == 0


@pytest.mark.long
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-queue-full")
def test_what_a_full_queue_drops_is_counted(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    receiver.usual = refuse_spans
    environ = sides.environment(side, redis_url, receiver)
    sides.send(sides.environment(ALONE, redis_url, receiver), "bursts", 1, BURST)
    with sides.worker(tmp_path, environ, *WORKER, app="collector_app") as worker:
        eventually(lambda: "succeeded in" in worker.log, 240)
        if side == OURS:
            eventually(lambda: accounts.dropped(receiver) >= BURST + 1 - ROOM)
        rss = psutil.Process(worker.process.pid).memory_info().rss
        receiver.usual = receiver.well
        if side == OURS:
            eventually(
                lambda: (
                    harness.total(receiver, PROCESSED, otel__component__name="") >= ROOM
                    or accounts.spans(receiver, name="burst").arrived >= ROOM - 1
                ),
                120,
            )
        else:
            time.sleep(12.0)
        assert worker.stop() == 0
    burst = accounts.spans(receiver, name="burst")
    measured("spans that arrived", side, burst.of(BURST))
    if side == OURS:
        lost = accounts.dropped(receiver)
        measured("spans counted as dropped", side, f"{lost:,}")
        measured("memory of the worker's main process", side, f"{rss >> 20} MiB")
        assert burst.arrived + accounts.spans(receiver).arrived + lost == BURST + 1
        assert burst.twice == 0
        assert rss < 500 << 20


@pytest.mark.long
@pytest.mark.fault("collector-away-at-stop")
def test_a_full_queue_holds_up_no_stop(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured
) -> None:
    stops: dict[Side, float] = {}
    receiver.usual = refuse_spans
    for side in SIDES:
        environ = sides.environment(side, redis_url, receiver)
        sides.send(sides.environment(ALONE, redis_url, receiver), "bursts", 1, BURST)
        with sides.worker(tmp_path, environ, *WORKER, app="collector_app") as worker:
            eventually(lambda: "succeeded in" in worker.log, 240)
            if side == OURS:
                eventually(lambda: accounts.dropped(receiver) >= BURST + 1 - ROOM)
            stops[side] = seconds(worker.stop)
            log = worker.log
        if side != ALONE:
            measured("stops later than Celery alone", side, later(stops[side], stops[ALONE]))
            measured("spans that the log says are lost", side, _told_lost(log))
        if side == OURS:
            measured("spans counted as dropped", side, f"{accounts.dropped(receiver):,}")
            assert accounts.dropped(receiver) == BURST + 1
            assert _told_lost(log) == f"{BURST + 1:,}"
            assert stops[OURS] < stops[ALONE] + 3 + SLACK


def _told_lost(log: str) -> str:
    found = LOST.search(log)
    return f"{int(found[2]):,}" if found else "none"
