"""A worker's main process, from its start to its stop."""

from __future__ import annotations

import os
import uuid

import pytest
from celery.concurrency.base import BasePool
from celery.concurrency.prefork import TaskPool as Prefork
from celery.concurrency.solo import TaskPool as Solo
from celery.concurrency.thread import TaskPool as Threads

from otel_celery.worker import claim_name, exit_reason, pool_type


class Like(Solo):
    """A pool of the user's own, which extends one of Celery's."""


class Unlike(BasePool):
    """A pool of the user's own, which is like none of them."""


@pytest.mark.parametrize(
    ("pool", "name"),
    [
        pytest.param(Prefork, "prefork", id="prefork"),
        pytest.param(Solo, "solo", id="solo"),
        pytest.param(Threads, "threads", id="threads"),
        pytest.param("celery.concurrency.gevent:TaskPool", "gevent", id="gevent"),
        pytest.param("celery.concurrency.eventlet:TaskPool", "eventlet", id="eventlet"),
        pytest.param("celery.concurrency.asynpool:AsynPool", "prefork", id="asynpool"),
        pytest.param("celery.concurrency.processes:TaskPool", "prefork", id="old-name"),
        pytest.param("prefork", "prefork", id="by-name"),
        pytest.param(Like, "solo", id="extends-celery-s"),
        pytest.param(Unlike, "test_worker", id="of-the-user"),
    ],
)
def test_a_pool_has_the_name_that_users_give_it(pool: type | str, name: str):
    assert pool_type(pool) == name


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(None, "signal", id="cannot-be-asked"),
        pytest.param(-9, "signal", id="killed"),
        pytest.param(0x9B, "recycled", id="most-tasks-or-memory"),
        pytest.param(1, "error", id="error"),
        pytest.param(0, "shutdown", id="shutdown"),
    ],
)
def test_an_exit_code_says_why(code: int | None, reason: str):
    assert exit_reason(code) == reason


@pytest.fixture
def nodename() -> str:
    return f"celery@{uuid.uuid4()}"


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="abstract sockets are Linux's")
def test_two_workers_of_one_name_speak_under_two(nodename: str, caplog: pytest.LogCaptureFixture):
    """No two processes ever write one series."""
    caplog.set_level("WARNING", "otel_celery")
    first, name = claim_name(nodename)
    assert first is not None
    with first:
        second = claim_name(nodename)
    again, name_again = claim_name(nodename)  # the first has ended
    assert again is not None
    again.close()
    assert (name, name_again) == (nodename, nodename)
    assert second == (None, f"{nodename}/{os.getpid()}")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_without_abstract_sockets_names_are_taken_as_given(
    nodename: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Darwin", "", "", "", "")))
    assert claim_name(nodename) == (None, nodename)
