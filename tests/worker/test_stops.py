"""However a worker is stopped, and whatever its collector does: it is quick, and all is told."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from celery import Celery

from tests.receiver import Answer, Receiver, receiving
from tests.services import free_port
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.test_matrix import words

OUTCOMES, CONSUMED = "celery.task.outcomes", "messaging.client.consumed.messages"
ARGUMENTS = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
BUDGET = 1.0  # seconds for the last export, here
TASKS = 20


class Stop(NamedTuple):
    """How a worker is stopped while a task and a late-acked one run, and what becomes of them."""

    signals: tuple[int, ...]
    task: str
    late: str
    remap: str = ""


WARM, COLD = ("success", "success"), ("retry", "requeued")
STOPS = {
    "warm": Stop((signal.SIGTERM,), *WARM),
    "cold": Stop((signal.SIGQUIT,), *COLD),
    "warm-twice": Stop((signal.SIGTERM, signal.SIGTERM), *WARM),
    "interrupted-twice": Stop((signal.SIGINT, signal.SIGINT), *COLD),
    "remapped": Stop((signal.SIGTERM,), *COLD, "SIGQUIT"),
}


@pytest.mark.parametrize("name", STOPS)
def test_a_stop_tells_what_became_of_what_was_running(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery, name: str
) -> None:
    """One span and one outcome for each, and for one that waited and never began."""
    stop = STOPS[name]
    warm = stop.task == "success"
    if stop.remap:
        environ["REMAP_SIGTERM"] = stop.remap
    with harness.worker(tmp_path, environ, *ARGUMENTS, app="amqp_app") as worker:
        plain = client.send_task("shop_of_cases.slow", (1.5 if warm else 30,)).id
        late = client.send_task("amqp_app.held").id
        client.send_task("shop_of_cases.success", countdown=3600)
        marks = [f"mark:started:{task_id}" for task_id in (plain, late)]
        eventually(lambda: client.backend.client.exists(*marks) == 2)
        waiting = {"celery__worker__task__state": "scheduled"}
        eventually(lambda: harness.total(receiver, "celery.worker.task.count", **waiting))
        for each in stop.signals[:-1]:
            worker.process.send_signal(each)
            eventually(lambda: "worker: " in worker.log)
        if warm:
            client.backend.client.set("mark:released", 1)
        worker.stop(stop.signals[-1], timeout=15)
    by_id = harness.deliveries(harness.spans(receiver))
    told = {
        task_id: [words(one).state for one in by_id.get(task_id, ())] for task_id in (plain, late)
    }
    assert told == {plain: [stop.task], late: [stop.late]}
    assert harness.total(receiver, OUTCOMES) == harness.total(receiver, CONSUMED) == 3
    assert harness.total(receiver, OUTCOMES, celery__task__state="returned") == 1
    assert harness.points(receiver, "otel_celery.faults") == []


class Lasted(NamedTuple):
    """How many seconds a worker took to be ready, and to stop."""

    start: float
    stop: float


def lasted(folder: Path, environ: dict[str, str], client: Celery) -> Lasted:
    """Run a worker for some tasks, which must succeed."""
    began = time.monotonic()
    with harness.worker(folder, environ, *ARGUMENTS) as worker:
        ready = time.monotonic()
        sent = [client.send_task("shop_of_cases.add", (n, n)) for n in range(TASKS)]
        assert [one.get(timeout=60) for one in sent] == [2 * n for n in range(TASKS)]
        stopping = time.monotonic()
        assert worker.stop() == 0
        assert "fault in" not in worker.log
        return Lasted(ready - began, time.monotonic() - stopping)


@pytest.mark.parametrize(
    "silent", [pytest.param(False, id="dead"), pytest.param(True, id="silent")]
)
def test_without_a_collector_a_worker_works(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery, silent: bool
) -> None:
    """It is ready as soon as ever, its tasks succeed, and its stop takes the budget at most."""
    slack = 7  # seconds, on a busy machine; less than the 10 of the exporter's timeout
    environ["OTEL_CELERY_FLUSH_TIMEOUT"] = str(BUDGET)
    if silent:
        receiver.answers.extend([Answer(stall=True)] * 1000)
        nobody = environ
    else:
        nobody = environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    for _ in range(3):  # a machine is slow now and then, what we did wrong would be each time
        usual = lasted(tmp_path, environ | {"OTEL_SDK_DISABLED": "true"}, client)
        found = lasted(tmp_path, nobody, client)
        late = found.start - usual.start, found.stop - usual.stop - BUDGET
        if max(late) < slack:
            return
    raise AssertionError(f"{late} seconds later than a worker that tells nothing")


def test_what_was_told_to_nobody_is_told_when_the_collector_comes(
    tmp_path: Path, environ: dict[str, str], client: Celery
) -> None:
    """Spans wait and sums go on: nothing of what happened meanwhile is missing."""
    port = free_port()
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
    with harness.worker(tmp_path, environ, *ARGUMENTS) as worker:
        sent = [client.send_task("shop_of_cases.success") for _ in range(TASKS)]
        for one in sent:
            one.get(timeout=60)
        eventually(lambda: "Spans do not get through" in worker.log)
        with receiving(port) as receiver:

            def all_there() -> None:
                names = [one.span.name for one in harness.spans(receiver)]
                assert names.count("process shop_of_cases.success") == TASKS
                assert names.count("inner") == TASKS
                assert harness.total(receiver, OUTCOMES) == TASKS

            eventually(all_there)
            assert worker.stop() == 0
            assert len(harness.spans(receiver)) == 2 * TASKS
