"""What do the queues of a broker say at this moment, for who asks once?"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from otel_celery.queues import QueueReading
from otel_celery.queues.once import Answer, Question


class Reader:
    """Says what a test tells it to."""

    transports = frozenset({"memory"})

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.channels: list[int] = []

    def read(self, channel: object, queues: Iterable[str]) -> list[QueueReading]:
        self.channels.append(id(channel))
        if self.fault is not None:
            raise self.fault
        return [QueueReading(name, len(self.channels)) for name in queues]


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def question(app: Celery, reader: Reader) -> Question:
    return Question(app, ["mail"], readers=[reader])


def test_each_question_is_asked_anew_over_one_connection(
    app: Celery, question: Question, reader: Reader
):
    for number in (1, 2):
        answer = question.ask()
        found = [QueueReading(app.conf.task_default_queue, number), QueueReading("mail", number)]
        assert answer == Answer("memory", answer.seconds, None, found)
        assert answer.seconds is not None
    assert len(set(reader.channels)) == 1
    question.close()


def test_a_broker_that_fails_is_named_by_the_class_of_its_error(question: Question, reader: Reader):
    """What was read before is not handed out again, and the next question is a new one."""
    question.ask()
    reader.fault = OperationalError("redis://user:secret@host")
    answer = question.ask()
    assert answer == Answer("memory", answer.seconds, "OperationalError", ())
    reader.fault = None
    assert (question.ask().error, len(question.ask().readings)) == (None, 2)


def test_a_broker_that_nobody_can_read_is_not_asked():
    app = Celery(broker="pyro://nowhere", set_as_current=False)
    assert Question(app).ask() == Answer("pyro", None, None, ())
