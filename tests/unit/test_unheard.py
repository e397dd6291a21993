"""What became of the deliveries that a pool process had been given, but Celery forgot?"""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

import pytest
from billiard import Pipe
from billiard.einfo import ExceptionInfo
from celery import Celery

from otel_celery.delivery import Deliveries
from otel_celery.facts import Ended, Started
from otel_celery.seams import BEGAN, ENDED
from otel_celery.unheard import Unheard
from tests.unit.stand_ins import Voice

PID, JOB = 4242, 7


class Process:
    """A pool process, with the pipe in which it answers."""

    pid = PID

    def __init__(self) -> None:
        self.outq = self
        self._reader, self.says = Pipe(duplex=False)


class Job:
    """A job that Celery has written into a process's pipe."""

    def __init__(self, deliveries: Deliveries, app: Celery) -> None:
        self._otel = deliveries.arrive(app, {}, "shop.pay", "id-1", "", "celery")
        self._otel.handed = True
        self._task = SimpleNamespace(acks_late=False, throws=())
        self._accepted, self._callback = False, self.on_success
        self._write_to: Any = Process()

    def on_success(self, told: Any) -> None:
        """Be where a job's Request is found."""


class Pool:
    """A pool of one process, as far as it is looked at."""

    def __init__(self, job: Job) -> None:
        self.heard: list[Any] = []
        self._pool, self._cache = self, {JOB: job}
        self._result_handler = SimpleNamespace(on_state_change=self.heard.append)

    def says(self, word: int, *said: Any) -> None:
        self._result_handler.on_state_change((word, (JOB, *said)))


@pytest.fixture
def job(deliveries: Deliveries, app: Celery) -> Job:
    return Job(deliveries, app)


@pytest.fixture
def pool(job: Job) -> Pool:
    return Pool(job)


@pytest.fixture
def unheard(deliveries: Deliveries) -> Unheard:
    return Unheard(deliveries)


def lose_connection(pool: Pool, unheard: Unheard, deliveries: Deliveries) -> None:
    """Do what the hook around `Consumer.on_close` does, where Celery 5.7 drops the job."""
    noted = unheard.note(pool)
    pool._cache.clear()
    deliveries.given_back(stopping=False, pool_drops=True, but=noted)


def words(voice: Voice) -> list[str]:
    return [
        fact.state if isinstance(fact, Ended) else "started"
        for fact in voice.told
        if isinstance(fact, (Started, Ended))
    ]


def test_a_pool_that_keeps_no_jobs_has_none_on_their_way(unheard: Unheard):
    """As those of other kinds, and of whatever stands for one in a test of Celery's."""
    for pool in (None, SimpleNamespace(_pool=SimpleNamespace(_cache=object()))):
        assert not unheard.note(pool)
    assert unheard._deliveries.guard.faults == {}


def failed() -> ExceptionInfo:
    try:
        raise ValueError("no")
    except ValueError:
        return ExceptionInfo()


@pytest.mark.parametrize(
    ("obj", "state"),
    [
        pytest.param((True, (False, None, 0.25)), "success", id="returned"),
        pytest.param((True, (True, failed(), 0.25)), "failure", id="raised"),
        pytest.param((False, failed()), "failure", id="never-came-to-an-end"),
    ],
)
def test_what_runs_though_celery_forgot_it_is_told(
    pool: Pool, unheard: Unheard, deliveries: Deliveries, voice: Voice, obj: Any, state: str
):
    lose_connection(pool, unheard, deliveries)
    assert words(voice) == []
    pool.says(BEGAN, None, time.monotonic(), PID, None)
    pool.says(ENDED, None, obj, None)
    pool.says(ENDED, None, obj, None)
    assert words(voice) == ["started", state]
    assert len(pool.heard) == 3, "Celery hears all of it"


def test_what_celery_hears_itself_is_not_told_twice(
    pool: Pool, job: Job, unheard: Unheard, deliveries: Deliveries, voice: Voice
):
    """Before Celery 5.7 the job is not forgotten."""
    lose_connection(pool, unheard, deliveries)
    deliveries.start(job._otel, PID, time.monotonic())
    pool.says(BEGAN, None, time.monotonic(), PID, None)
    assert words(voice) == ["started"]


@pytest.mark.parametrize(
    ("begun", "state"),
    [pytest.param(False, "returned", id="unread"), pytest.param(True, "lost", id="running")],
)
def test_a_process_takes_with_it_what_it_was_given(
    pool: Pool, unheard: Unheard, deliveries: Deliveries, voice: Voice, begun: bool, state: str
):
    lose_connection(pool, unheard, deliveries)
    if begun:
        pool.says(BEGAN, None, time.monotonic(), PID, None)
    unheard.exited(PID + 1)
    unheard.exited(PID)
    assert words(voice) == ["started", state][not begun :]


@pytest.mark.parametrize(
    "change", [pytest.param({"_write_to": None}, id="waits"), pytest.param({}, id="no-pool")]
)
def test_what_no_process_was_given_is_returned(
    pool: Pool, job: Job, unheard: Unheard, deliveries: Deliveries, voice: Voice, change: Any
):
    if not change:
        del pool._pool
    vars(job).update(change)
    lose_connection(pool, unheard, deliveries)
    assert words(voice) == ["returned"]


def test_what_was_said_last_and_not_read_is_told_at_the_stop(
    pool: Pool, job: Job, unheard: Unheard, deliveries: Deliveries, voice: Voice
):
    """A word that a kill has cut off is none."""
    lose_connection(pool, unheard, deliveries)
    process: Process = job._write_to
    process.says.send((BEGAN, (JOB, None, time.monotonic(), PID, None)))
    process.says.send((ENDED, (JOB + 1, None, (True, (False, None, 0.25)), None)))
    process.says.send((ENDED, (JOB, None, (True, (False, None, 0.25)), None)))
    os.write(process.says.fileno(), b"\0\0")
    unheard.read_on()
    unheard.read_on()
    assert words(voice) == ["started", "success"]
