from __future__ import annotations

import signal

import pytest

from otel_celery import conventions as c
from otel_celery.cli import day as module
from otel_celery.cli.day import Day, Interrupted, Interrupts
from otel_celery.cli.stage import DemoFault
from otel_celery.view.store import Store
from tests.unit.cli_wire import PAY, WEB, metrics, number


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds


class FakeProgram:
    """A program that is ready at once, and stops as soon as it is asked."""

    def __init__(self, name, log, status=None, ready=True, stops=True):
        self.name, self.log, self.status, self.ready = name, log, status, ready
        self.stops = stops

    def is_ready(self):
        return self.ready

    def last_words(self):
        return "out of coffee"

    def ask_to_stop(self):
        self.log.append(f"stop {self.name}")
        if self.stops:
            self.status = 0

    def abort(self):
        self.log.append(f"abort {self.name}")

    def __enter__(self):
        self.log.append(f"start {self.name}")
        return self

    def __exit__(self, *fault):
        self.log.append(f"end {self.name}")


class FakeStage:
    def __init__(self, **programs):
        self.log = []
        self.programs = programs

    def worker(self):
        return FakeProgram("worker", self.log, **self.programs.get("worker", {}))

    def beat(self):
        return FakeProgram("beat", self.log, **self.programs.get("beat", {}))

    def web(self):
        return FakeProgram("web", self.log, **self.programs.get("web", {}))


class FakeShow:
    def __init__(self, on_phase=lambda phase: None):
        self.phases = []
        self.on_phase = on_phase

    def tell(self, phase, detail):
        if phase not in self.phases:
            self.phases.append(phase)
        self.on_phase(phase)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_day_opens_with_the_worker_and_closes_with_it(clock):
    stage, show = FakeStage(), FakeShow()
    closed_at, exits = Day(stage, show, Interrupts(), None).run(5.0)
    assert stage.log == [
        *("start worker", "start beat", "start web"),
        *("stop web", "stop beat", "stop worker"),
        *("end web", "end beat", "end worker"),
    ]
    assert exits == {"web": 0, "beat": 0, "worker": 0}
    assert closed_at == pytest.approx(5.0, abs=module.TICK)


def test_the_worker_goes_on_while_something_waits_until_the_time_is_up(clock):
    show, store = FakeShow(), Store()
    store.add_metrics(metrics(WEB, number(c.SENT_MESSAGES, 1, PAY)))
    closed_at, _ = Day(FakeStage(), show, Interrupts(), store).run(5.0)
    assert show.phases == ["selling", "waiting until nothing waits"]
    assert closed_at == pytest.approx(5.0 + module.DRAIN_SECONDS, abs=2 * module.TICK)


def test_a_shop_at_rest_closes_at_once(clock):
    closed_at, _ = Day(FakeStage(), FakeShow(), Interrupts(), Store()).run(5.0)
    assert closed_at == pytest.approx(5.0, abs=2 * module.TICK)


def test_the_first_interrupt_closes_the_shop_in_order(clock):
    stage, interrupts = FakeStage(), Interrupts()
    show = FakeShow(lambda phase: interrupts.note(signal.SIGINT, None))
    closed_at, exits = Day(stage, show, interrupts, None).run(1000.0)
    assert closed_at < 1.0
    assert exits == {"web": 0, "beat": 0, "worker": 0}


def test_the_second_interrupt_leaves_at_once_and_leaves_nothing_behind(clock):
    stage, interrupts = FakeStage(), Interrupts()

    def twice(phase):
        interrupts.count = 2

    with pytest.raises(Interrupted):
        Day(stage, FakeShow(twice), interrupts, None).run(1000.0)
    assert stage.log[-3:] == ["end web", "end beat", "end worker"]


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        pytest.param(
            {"worker": {"ready": False}},
            "worker is not ready after 30 s; its last lines:\nout of coffee",
            id="never-ready",
        ),
        pytest.param(
            {"worker": {"status": 1}},
            "worker ended with 1; its last lines:\nout of coffee",
            id="worker-died",
        ),
        pytest.param(
            {"web": {"status": -9}},
            "web ended with -9; its last lines:\nout of coffee",
            id="web-died",
        ),
        pytest.param(
            {"worker": {"stops": False}},
            "worker did not stop in 40 s; its last lines:\nout of coffee",
            id="worker-hangs",
        ),
    ],
)
def test_a_program_that_fails_is_quoted(clock, programs, message):
    stage = FakeStage(**programs)
    with pytest.raises(DemoFault) as fault:
        Day(stage, FakeShow(), Interrupts(), None).run(5.0)
    assert str(fault.value) == message
    assert stage.log[-1] == "end worker"
