"""What do we make of a Collector's answers, and of none at all?"""

from __future__ import annotations

import ssl
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.collector.certificates import certificate
from tests.faults import accounts, sides
from tests.faults.accounts import later, seconds
from tests.faults.results import Measured
from tests.faults.sides import ALONE, OURS, WATCHING, Side
from tests.receiver import Answer, Received, Receiver, receiving
from tests.waiting import eventually
from tests.worker import harness

WORKER = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
TASKS = 50
BUDGET = 1.0  # seconds for the last export, where the test says so
SLACK = 10.0  # seconds, for a machine that has much else to do
OUTCOMES = "celery.task.outcomes"


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
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-silent")
def test_a_silent_collector_holds_up_nobody(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    """Metrics of the tasks' own are the hardest part: those leave by pool processes."""
    environ = sides.environment(side, redis_url, receiver, OTEL_CELERY_FLUSH_TIMEOUT=f"{BUDGET:g}")
    publish, stop = [], []
    for answer in (receiver.well, lambda _: Answer(stall=True)):
        receiver.usual = answer
        publish.append(seconds(lambda: sides.send(environ, "measures", TASKS)))
        with sides.worker(tmp_path, environ, *WORKER, app="collector_app") as worker:
            eventually(lambda on=worker: on.log.count("succeeded in") == TASKS)
            stop.append(seconds(worker.stop))
    measured("a program that published ends later", side, later(publish[1], publish[0]))
    measured("the worker stops later", side, later(stop[1], stop[0]))
    if side == OURS:
        assert publish[1] < publish[0] + BUDGET + SLACK
        assert stop[1] < stop[0] + BUDGET + SLACK


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


ODD = {
    "reset": Answer(reset=True),
    "no-http": Answer(raw=b"220 mail.example ESMTP\r\n"),
    "half": Answer(half=True),
    "endless": Answer(endless=0.0),
    "slow": Answer(endless=0.3),
    "no-gzip": Answer(headers={"Content-Encoding": "gzip"}, body=b"no gzip"),
}


@pytest.mark.long
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-odd-answers")
def test_odd_answers_neither_cost_nor_double_a_span(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(
        side, redis_url, receiver, OTEL_EXPORTER_OTLP_TIMEOUT="3", OTEL_BSP_SCHEDULE_DELAY="500"
    )
    silent = sides.environment(ALONE, redis_url, receiver)
    with sides.worker(tmp_path, environ, *WORKER) as worker:
        for number, answer in enumerate(ODD.values(), 1):
            asked_before = len(asked(receiver))
            for_spans(receiver, answer)
            sides.send(silent, "quick", TASKS)
            eventually(lambda upto=number * TASKS: worker.log.count("succeeded in") == upto)
            if side == OURS:  # the stock exporter reads an answer without end for ever
                eventually(lambda before=asked_before: len(asked(receiver)) > before)
            time.sleep(1.0)
        receiver.usual = receiver.well
        made = len(ODD) * TASKS
        if side == OURS:
            eventually(lambda: accounts.spans(receiver).arrived == made)
        else:
            time.sleep(10.0)
        assert worker.stop() == 0
    processes = accounts.spans(receiver)
    measured("process spans that arrived", side, processes.of(made))
    if side == OURS:
        measured("spans counted as dropped", side, accounts.dropped(receiver))
        measured("faults of our own", side, len(harness.points(receiver, "otel_celery.faults")))
        assert processes == (made, 0)
        assert accounts.dropped(receiver) == 0
        assert harness.points(receiver, "otel_celery.faults") == []


@pytest.mark.long
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-odd-answers")
def test_a_certificate_that_nobody_knows_is_waited_out(
    tmp_path: Path, redis_url: str, measured: Measured, side: Side
) -> None:
    """It may be mended: what waits arrives then."""
    made = certificate(tmp_path)
    trusted = tmp_path / "trusted.pem"
    other = certificate(_folder(tmp_path, "other"))
    trusted.write_bytes(other.cert.read_bytes())
    with receiving() as receiver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.cert, made.key)
        receiver.speak_tls(context)
        environ = sides.environment(
            side,
            redis_url,
            receiver,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url.replace("http:", "https:"),
            OTEL_EXPORTER_OTLP_CERTIFICATE=str(trusted),
        )
        silent = sides.environment(ALONE, redis_url, receiver)
        sides.send(silent, "quick", TASKS)
        with sides.worker(tmp_path, environ, *WORKER) as worker:
            eventually(lambda: worker.log.count("succeeded in") == TASKS, 240)
            time.sleep(12.0)
            assert receiver.received == []
            context.load_cert_chain(other.cert, other.key)
            if side == OURS:
                eventually(lambda: accounts.spans(receiver).arrived == TASKS)
            else:
                time.sleep(10.0)
            assert worker.stop() == 0
        processes = accounts.spans(receiver)
        measured("with an unknown certificate", side, processes.of(TASKS))
        if side == OURS:
            assert processes == (TASKS, 0)
            assert harness.points(receiver, "otel_celery.faults") == []


def _folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def _cpu(main: psutil.Process) -> float:
    """Return the CPU seconds of a worker by now."""
    spent = 0.0
    for each in (main, *main.children(recursive=True)):
        times = each.cpu_times()
        spent += times.user + times.system
    return spent
