"""One thread does what may have to wait, and nobody waits for it longer than he said."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from otel_celery.courier import Courier
from tests.waiting import eventually


class Clock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Faults(list[tuple[str, BaseException]]):
    """What was reported."""

    def __call__(self, place: str, fault: BaseException) -> None:
        self.append((place, fault))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def courier(clock: Clock, faults: Faults) -> Courier:
    """Its thread never runs: tests call `tick`."""
    return Courier(faults, clock, jitter=lambda: 0.0)


@pytest.fixture
def real(faults: Faults) -> Iterator[Courier]:
    """With the true clock, and ended after the test."""
    courier = Courier(faults)
    yield courier
    assert courier.stop(10.0)


def test_work_runs_at_its_interval(courier: Courier, clock: Clock):
    at: list[float] = []
    courier.every(1.0, lambda _: at.append(clock.now))
    courier.every(2.5, lambda _: at.append(-clock.now))
    pauses = []
    for _ in range(5):
        pauses.append(courier.tick())
        clock.now += pauses[-1]
    assert pauses == [1.0, 1.0, 0.5, 0.5, 1.0]
    assert at == [101.0, 102.0, -102.5, 103.0]


def test_a_fleet_that_starts_at_once_does_not_send_at_once(clock: Clock, faults: Faults):
    """Fifteen processes, of which each has drawn another part of the interval: one a second."""
    sent: Counter[float] = Counter()
    fleet = [Courier(faults, clock, jitter=lambda n=n: n / 15) for n in range(15)]
    for courier in fleet:
        courier.every(15.0, lambda _: sent.update([clock.now]))
    for second in range(1, 46):
        clock.now = 100.0 + second
        for courier in fleet:
            courier.tick()
    assert sent == {100.0 + second: 1 for second in range(1, 46)}


def test_no_seed_of_an_application_makes_two_processes_alike(clock: Clock, faults: Faults):
    firsts = set()
    for _ in range(2):
        random.seed(7)
        courier = Courier(faults, clock)
        courier.every(15.0, lambda _: None)
        firsts.add(courier.tick())
    assert len(firsts) == 2
    assert all(0 < first <= 15 for first in firsts)


def test_without_work_there_is_nothing_to_wake_for(courier: Courier):
    assert courier.tick() == math.inf


def test_nobody_waits_for_periodic_work(courier: Courier, clock: Clock):
    deadlines: list[float] = []
    courier.every(1.0, deadlines.append)
    clock.now += 1
    courier.tick()
    assert deadlines == [math.inf]


def test_work_may_ask_to_run_again_before_its_interval(courier: Courier, clock: Clock):
    answers = [clock.now + 0.25, None]
    courier.every(0.0, lambda _: answers.pop(0))
    assert courier.tick() == 0.25
    clock.now += 0.25
    assert courier.tick() == 0.0
    assert answers == []


def test_work_can_be_called_for_at_once(courier: Courier, clock: Clock):
    ran: list[float] = []
    wake = courier.every(60.0, ran.append)
    courier.tick()
    wake()
    assert courier.tick() == 60.0
    assert ran == [math.inf]


def test_fault_in_one_job_stops_no_other(courier: Courier, clock: Clock, faults: Faults):
    ran: list[float] = []

    def broken(deadline: float) -> None:
        raise ValueError("mine")

    courier.every(1.0, broken)
    courier.every(1.0, ran.append)
    for _ in range(2):
        clock.now += 1
        courier.tick()
    assert len(ran) == 2
    assert [(place.rpartition(".")[2], str(fault)) for place, fault in faults] == [
        ("broken", "mine"),
        ("broken", "mine"),
    ]


def test_no_work_makes_spans(courier: Courier, clock: Clock):
    """Neither our own exports nor our polls of the broker may be traced."""
    enabled: list[bool] = []
    courier.every(1.0, lambda _: enabled.append(is_instrumentation_enabled()))
    clock.now += 1
    courier.tick()
    assert enabled == [False]
    assert is_instrumentation_enabled()


def test_flush_runs_all_work_with_the_callers_deadline(real: Courier):
    ran: dict[str, float] = {}
    real.every(math.inf, lambda deadline: ran.update(first=deadline))
    real.every(math.inf, lambda deadline: ran.update(second=deadline))
    real.start()
    assert real.flush(10.0) is True
    assert ran.keys() == {"first", "second"}
    assert max(ran.values()) < math.inf


def test_flush_works_where_the_thread_never_started(real: Courier):
    ran: list[str] = []
    real.every(math.inf, lambda _: ran.append(threading.current_thread().name))
    assert real.flush(10.0) is True
    assert ran == ["otel-celery-courier"]


def test_flush_runs_in_the_caller_where_no_thread_can_start(
    real: Courier, monkeypatch: pytest.MonkeyPatch
):
    """As at the end of the interpreter."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    ran: list[str] = []
    real.every(math.inf, lambda _: ran.append(threading.current_thread().name))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert real.flush(10.0) is True
    assert ran == [threading.current_thread().name]


def test_flush_gives_unfinished_work_more_turns(real: Courier):
    left = [3, 2, 1]

    def work(deadline: float) -> float | None:
        left.pop()
        return 0.0 if left else None

    real.every(math.inf, work)
    assert real.flush(10.0) is True
    assert left == []


def test_flush_says_that_something_is_left(real: Courier):
    """Work that would go on only after the deadline is not waited for."""
    real.every(math.inf, lambda deadline: deadline + 1)
    assert real.flush(10.0) is False


def test_flush_says_that_a_job_failed(real: Courier, faults: Faults):
    def broken(deadline: float) -> None:
        raise ValueError

    real.every(math.inf, broken)
    assert real.flush(10.0) is False
    assert len(faults) == 1


def test_flush_does_not_wait_for_work_that_hangs(real: Courier):
    """A silent collector holds up only the courier."""
    entered, released = threading.Event(), threading.Event()

    def hang(deadline: float) -> None:
        entered.set()
        released.wait(30)

    try:
        real.every(0.0, hang)
        real.start()
        assert entered.wait(10)
        assert real.flush(0.05) is False
        assert real.stop(0.0) is False
    finally:
        released.set()


def test_flushes_of_two_threads_are_both_answered(real: Courier):
    real.every(math.inf, lambda _: None)
    answers: list[bool] = []
    others = [threading.Thread(target=lambda: answers.append(real.flush(10.0))) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join(20)
    assert answers == [True] * 4


def test_work_may_be_added_while_the_thread_sleeps(real: Courier):
    ran = threading.Event()
    real.start()
    real.every(math.inf, lambda _: None)
    real.every(0.01, lambda _: ran.set())
    assert ran.wait(10)


def test_stop_ends_the_thread_and_start_makes_another(real: Courier):
    def couriers() -> int:
        return sum(thread.name == "otel-celery-courier" for thread in threading.enumerate())

    before = couriers()
    real.start()
    real.start()
    assert couriers() == before + 1
    assert real.stop(10.0) is True
    eventually(lambda: couriers() == before)
    real.start()
    assert couriers() == before + 1


def test_thread_does_not_keep_the_process_alive(real: Courier):
    real.start()
    (thread,) = [t for t in threading.enumerate() if t.name == "otel-celery-courier"]
    assert thread.daemon


def test_forked_child_has_neither_thread_nor_work(courier: Courier, clock: Clock):
    """What the parent's jobs use is not there any more."""
    ran: list[float] = []
    courier.every(1.0, ran.append)
    courier.forget()
    clock.now += 1
    assert courier.tick() == math.inf
    assert ran == []
