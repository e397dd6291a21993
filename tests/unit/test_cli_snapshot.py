"""What do a broker and its workers say at this moment?"""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.app.control import Inspect
from kombu.exceptions import OperationalError

from otel_celery.cli.snapshot import Look, Snapshot, Worker
from otel_celery.queues import BrokerReading, QueueReading
from otel_celery.queues.once import Answer, Question

NOW = 1_800_000_000.0
ANSWER = Answer("redis", 0.01234, None, [QueueReading("mail", 3), BrokerReading(5, 1.0)])
STATS = {
    "w2@host": {
        "pid": 8, "uptime": 60, "prefetch_count": 16, "total": {"shop.pay": 2, "shop.mail": 9},
        "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 4},
    },
    "w1@host": {"total": {"shop.pay": 7}},
}  # fmt: skip
WORKERS = [
    Worker("w1@host", None, None, None, None, None, {"shop.pay": 7}),
    Worker("w2@host", 8, 60, "prefork", 4, 16, {"shop.pay": 2, "shop.mail": 9}),
]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What broker and workers say, in place of their saying it; `stats` may be an error."""
    answers: dict[str, Any] = {"queues": ANSWER, "stats": STATS, "asked": 0}

    def stats(_: Inspect) -> Any:
        answers["asked"] += 1
        if isinstance(answers["stats"], Exception):
            raise answers["stats"]
        return answers["stats"]

    monkeypatch.setattr(Question, "ask", lambda _: answers["queues"])
    monkeypatch.setattr(Inspect, "stats", stats)
    return answers


def look(app: Celery, **options: Any) -> Snapshot:
    return Look(app, clock=lambda: NOW, **options)()


def test_workers_say_what_they_are_and_have_taken(app: Celery, said: dict[str, Any]):
    found = look(app)
    assert found == Snapshot(NOW, ANSWER, WORKERS)
    assert found.tasks == [("shop.mail", 9), ("shop.pay", 9)]
    assert found.answered


def test_no_worker_that_answers_is_not_the_same_as_none_asked(app: Celery, said: dict[str, Any]):
    said["stats"] = None
    assert look(app).workers == []
    assert look(app, ask_workers=False).workers is None
    assert said["asked"] == 1


def test_where_the_broker_does_not_answer_workers_are_not_asked(app: Celery, said: dict[str, Any]):
    said["queues"] = Answer("redis", 1.0, "ConnectionError", ())
    found = look(app)
    assert found == Snapshot(NOW, said["queues"], None)
    assert (found.answered, said["asked"]) == (False, 0)


def test_a_broker_that_goes_away_meanwhile_has_not_answered(app: Celery, said: dict[str, Any]):
    said["stats"] = OperationalError("redis://user:secret@host")
    found = look(app)
    assert found == Snapshot(NOW, ANSWER, None, "OperationalError")
    assert not found.answered


def test_as_json_unknown_is_null(app: Celery, said: dict[str, Any]):
    unknown = dict.fromkeys(("unacked", "delayed", "consumers", "oldest_age"))
    silent = dict.fromkeys(("pid", "uptime", "pool", "concurrency", "prefetch"))
    found = look(app).as_dict()
    assert found == {
        "at": NOW,
        "broker": {"system": "redis", "seconds": 0.0123, "error": None, "unacked": 5},
        "queues": [{"queue": "mail", "ready": 3, **unknown}],
        "workers": [
            {"worker": "w1@host", **silent, "tasks": {"shop.pay": 7}},
            {
                "worker": "w2@host",
                "pid": 8,
                "uptime": 60,
                "pool": "prefork",
                "concurrency": 4,
                "prefetch": 16,
                "tasks": {"shop.pay": 2, "shop.mail": 9},
            },
        ],
        "tasks": [{"task": "shop.mail", "taken": 9}, {"task": "shop.pay", "taken": 9}],
    }
    quiet = look(app, ask_workers=False).as_dict()
    assert (quiet["workers"], quiet["tasks"]) == (None, None)
