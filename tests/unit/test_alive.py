"""How does the heartbeat of a worker's loop reach the file that probes read?"""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from otel_celery import heartbeat
from otel_celery.alive import Alive
from otel_celery.counts import Counts
from otel_celery.guard import Guard
from otel_celery.heartbeat import HeartbeatFile
from otel_celery.vitals import Vitals
from tests.unit.stand_ins import Readings
from tests.waiting import eventually

NAME = "celery@host"
NOW = 1_800_000_000.0
BEATEN = NOW - 40.0


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def vitals() -> Iterator[Vitals]:
    readings = Readings()
    yield Vitals("prefork", Counts(readings.instruments))
    readings.provider.shutdown()


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def alive(app: Celery, vitals: Vitals, guard: Guard) -> Iterator[Alive]:
    made = Alive(app, NAME, vitals, guard, clock=lambda: NOW)
    yield made
    made.stop()


def shown() -> tuple[float, bool]:
    found = heartbeat.read(heartbeat.path_of(NAME))
    return found.at, found.connected


def test_the_file_has_the_time_of_the_loop_and_not_of_its_writing(alive: Alive, vitals: Vitals):
    """A loop that hangs lets it grow old, though the thread that writes it is well."""
    vitals.connected, vitals.beaten_at = True, BEATEN
    alive.show(math.inf)
    assert shown() == (BEATEN, True)


def test_a_worker_that_waits_for_its_broker_lives(alive: Alive, vitals: Vitals):
    """Celery waits in the thread of the loop, at the start too: a restart would mend nothing."""
    alive.show(math.inf)
    assert shown() == (NOW, False)


def test_it_is_shown_from_the_start_to_the_stop(app: Celery, alive: Alive):
    """The step comes after the pool: nothing that a pool process could inherit is there before."""
    (step,) = app.steps["worker"]
    assert step.requires[0] == "celery.worker.components:Pool"
    alive.start()
    eventually(lambda: shown() == (NOW, False) if heartbeat.names() else False)
    alive.stop()
    assert (heartbeat.names(), app.steps["worker"]) == ([], set())


def test_a_fork_takes_no_sign_of_life_away(alive: Alive, monkeypatch: pytest.MonkeyPatch):
    alive.show(math.inf)
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        alive.stop()
    assert heartbeat.names() == [NAME]


def test_a_disk_that_cannot_be_written_is_said_and_counted_once(
    alive: Alive, vitals: Vitals, guard: Guard, caplog: pytest.LogCaptureFixture
):
    """And it is tried again."""
    caplog.set_level("WARNING", "otel_celery")
    folder = heartbeat.folder()
    folder.touch()
    alive.show(math.inf)
    alive.show(math.inf)
    folder.unlink()
    alive.show(math.inf)
    assert shown() == (NOW, False)
    assert guard.faults == Counter({"heartbeat file": 1})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(folder) in caplog.text


def test_a_disk_that_hangs_holds_up_a_stop_for_a_second_only(
    alive: Alive, monkeypatch: pytest.MonkeyPatch
):
    """The file goes stale then."""
    entered, over = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        entered.set()
        over.wait(60)

    monkeypatch.setattr(HeartbeatFile, "show", hang)
    alive.start()
    assert entered.wait(60)
    stopping = threading.Thread(target=alive.stop)
    stopping.start()
    stopping.join(30)
    assert (stopping.is_alive(), over.is_set()) == (False, False)
    over.set()
