"""Does the broker answer in time, and how much waits in its queues?"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import Celery

from otel_celery.health.broker import BrokerHealth
from otel_celery.health.report import DEGRADED, HEALTHY, UNHEALTHY, Finding, Report
from otel_celery.queues import BrokerReading, QueueReading
from otel_celery.queues.once import Answer, Question
from tests.waiting import eventually

ANSWERED = Finding("broker", HEALTHY, "answered in 12 ms", {"system": "redis", "seconds": 0.0123})


class Asked:
    """Answers instead of a broker, and counts who asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self.answer: Answer | Exception = Answer("redis", 0.0123, None, ())
        self.may_answer = threading.Event()
        self.may_answer.set()
        monkeypatch.setattr(Question, "ask", lambda _: self())

    def __call__(self) -> Answer:
        self.times += 1
        self.may_answer.wait(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def test_a_broker_that_answers_and_its_queues(app: Celery, asked: Asked):
    asked.answer = Answer(
        "redis",
        0.0123,
        None,
        [QueueReading("celery", 3, oldest_age=1.23456), BrokerReading(2, 9.0)],
    )
    waits = {"queue": "celery", "ready": 3, "oldest_age": 1.235}
    assert BrokerHealth(app, timeout=60).check() == Report(
        [ANSWERED, Finding("queue", HEALTHY, "3 ready", waits)]
    )


@pytest.mark.parametrize(
    ("warn", "limit", "state", "reason"),
    [
        pytest.param({}, {}, HEALTHY, "9 ready", id="no-limit"),
        pytest.param({"*": 9}, {"*": 9}, HEALTHY, "9 ready", id="at-the-limit"),
        pytest.param({"*": 8}, {"*": 9}, DEGRADED, "9 ready, more than 8", id="degraded"),
        pytest.param({"*": 4}, {"*": 8}, UNHEALTHY, "9 ready, more than 8", id="unhealthy"),
        pytest.param({}, {"*": 4, "q": 99}, HEALTHY, "9 ready", id="its-own-limit-wins"),
        pytest.param({}, {"q": 4}, UNHEALTHY, "9 ready, more than 4", id="for-this-queue"),
    ],
)
def test_a_queue_is_judged_by_how_many_wait(
    app: Celery,
    asked: Asked,
    warn: Mapping[str, int],
    limit: Mapping[str, int],
    state: str,
    reason: str,
):
    asked.answer = Answer("rabbitmq", 0.001, None, [QueueReading("q", 9, consumers=2)])
    found = BrokerHealth(app, warn_depth=warn, max_depth=limit, timeout=60).check().findings[1]
    given = {"limit": int(reason.rpartition(" ")[2])} if "more" in reason else {}
    figures = {"queue": "q", "ready": 9, "consumers": 2, **given}
    assert found == Finding("queue", state, reason, figures)


@pytest.mark.parametrize(
    "named", [{"queues": ["mail"]}, {"max_depth": {"mail": 5}}, {"warn_depth": {"mail": 5}}]
)
def test_a_queue_that_was_named_and_is_not_there_is_degraded(
    app: Celery, asked: Asked, named: Mapping[str, list[str]]
):
    """On RabbitMQ: nobody has declared it, so no worker consumes it."""
    unknown = Finding("queue", DEGRADED, "the broker does not know it", {"queue": "mail"})
    assert BrokerHealth(app, timeout=60, **named).check() == Report([ANSWERED, unknown])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        pytest.param(
            Answer("redis", 1.0, "ConnectionError", ()),
            Finding(
                "broker",
                UNHEALTHY,
                "no answer: ConnectionError",
                {"system": "redis", "seconds": 1.0},
            ),
            id="down",
        ),
        pytest.param(
            Answer("pyro", None, None, ()),
            Finding("broker", DEGRADED, "no reader for pyro", {"system": "pyro"}),
            id="no-reader",
        ),
        pytest.param(
            ZeroDivisionError(),
            Finding("broker", UNHEALTHY, "it cannot be asked; the log says why"),
            id="fault-of-ours",
        ),
    ],
)
def test_a_broker_that_says_nothing_of_its_queues(
    app: Celery, asked: Asked, answer: Answer, found: Finding
):
    asked.answer = answer
    assert BrokerHealth(app, timeout=60).check() == Report([found])


def test_however_many_ask_the_broker_is_asked_once_while_a_report_is_fresh(
    app: Celery, asked: Asked
):
    now = [100.0]
    health = BrokerHealth(app, fresh=5, timeout=60, clock=lambda: now[0])
    asked.may_answer.clear()
    with ThreadPoolExecutor(8) as askers:
        reports = [askers.submit(health.check) for _ in range(8)]
        eventually(lambda: asked.times == 1)
        asked.may_answer.set()
        assert {report.result().state for report in reports} == {HEALTHY}
    now[0] += 4.9
    health.check()
    assert asked.times == 1
    now[0] += 0.1
    health.check()
    assert asked.times == 2


def test_a_broker_that_hangs_is_unhealthy_in_time_and_asked_by_one_thread(
    app: Celery, asked: Asked
):
    """Until it answers: then it is asked anew."""
    health = BrokerHealth(app, timeout=0.01, fresh=0)
    asked.may_answer.clear()
    silent = Report([Finding("broker", UNHEALTHY, "no answer within 0.01 s")])
    assert [health.check() for _ in range(3)] == [silent] * 3
    assert asked.times == 1
    asked.may_answer.set()
    eventually(lambda: health.check() == Report([ANSWERED]))
