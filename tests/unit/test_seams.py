"""Where do we touch names that Celery did not promise?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker import state as worker_state
from celery.worker.request import Request

from otel_celery import seams
from otel_celery.seams import Seam


class Theirs:
    """A class of Celery's."""

    def hello(self, name: str) -> str:
        """Greet."""
        return f"hello {name}"

    absent = None


class Heir(Theirs):
    """A class that inherits the method."""


def louder(inner: Any) -> Any:
    return lambda self, name: inner(self, name).upper()


def test_every_seam_is_there_in_this_celery():
    """One that is gone costs what its paragraph says, silently: here it fails."""
    found = seams.all_seams()
    assert (len(found) > 0, [name for name, seam in found.items() if not seam.exists]) == (True, [])


def test_every_seam_is_explained():
    for name, seam in seams.all_seams().items():
        assert f"{seam.owner.__name__}.{seam.name}\n" in (seams.__doc__ or ""), name


def test_an_open_seam_wraps_once_and_a_closed_one_leaves_no_trace():
    before = Theirs.__dict__["hello"]
    seam = Seam(Theirs, "hello")
    seam.open(louder)
    seam.open(louder)
    assert (Theirs().hello("you"), Heir().hello("you")) == ("HELLO YOU", "HELLO YOU")
    assert (Theirs.hello.__name__, Theirs.hello.__doc__) == ("hello", "Greet.")
    seam.close()
    seam.close()
    assert Theirs.__dict__["hello"] is before


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        pytest.param(Theirs, "gone", id="gone"),
        pytest.param(Theirs, "absent", id="no-function-any-more"),
        pytest.param(Heir, "hello", id="moved-to-another-class"),
    ],
)
def test_a_seam_that_is_not_there_stays_closed(owner: type, name: str):
    before = dict(owner.__dict__)
    seam = Seam(owner, name)
    assert not seam.exists
    seam.open(louder)
    seam.close()
    assert dict(owner.__dict__) == before


def test_an_app_builds_its_sender_anew_and_keeps_its_queues(app: Celery):
    amqp = app.amqp
    sender, queues = amqp.send_task_message, amqp.queues
    seams.forget_senders()
    assert amqp.send_task_message is not sender
    assert (app.amqp, amqp.queues) == (amqp, queues)


@pytest.mark.parametrize(
    ("code", "cold"),
    [
        pytest.param(None, False, id="none"),
        pytest.param(False, False, id="false"),
        pytest.param(0, True, id="exit-code-0"),
        pytest.param(1, True, id="exit-code-1"),
        pytest.param(True, True, id="true"),
    ],
)
def test_a_stop_at_once(monkeypatch: pytest.MonkeyPatch, code: Any, cold: bool):
    monkeypatch.setattr(worker_state, "should_terminate", code)
    assert seams.cold_stop() is cold


def test_without_that_name_no_stop_is_cold(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(worker_state, "should_terminate")
    assert seams.cold_stop() is False


def test_traces_are_wrapped_once_and_unwrapped(app: Celery):
    """In-process pools build them anew at every connection."""

    def pay() -> None:
        """A task's body."""

    def built() -> str:
        return "built"

    def again() -> str:
        return "again"

    task = app.task(pay, name="shop.pay")
    seams.wrap_traces(app, lambda task, trace: lambda: f"around {trace()}")
    assert task.__trace__ is None  # no worker has built it yet
    for trace in (built, again):
        task.__trace__ = trace
        for _ in range(2):
            seams.wrap_traces(app, lambda task, trace: lambda: f"around {trace()}")
        assert task.__trace__() == f"around {trace.__name__}"
    task.Request = type("Observed", (Request,), {})
    for _ in range(2):
        seams.restore_tasks({task.Request: Request}.get)
    assert (task.__trace__, task.Request) == (again, Request)


@pytest.mark.parametrize("named", [Request, "celery.worker.request:Request"], ids=["class", "text"])
def test_a_task_names_its_request_class(named: Any):
    assert seams.request_class(SimpleNamespace(Request=named)) is Request


class Closed:
    """A process that has been let go of."""

    @property
    def exitcode(self) -> int:
        raise ValueError("process object is closed")


@pytest.mark.parametrize(
    ("process", "code"),
    [
        pytest.param(SimpleNamespace(exitcode=-9), -9, id="killed"),
        pytest.param(SimpleNamespace(exitcode=None), None, id="unknown"),
        pytest.param(Closed(), None, id="closed"),
    ],
)
def test_an_exit_code_is_asked_for(process: Any, code: int | None):
    assert seams.exit_code(process) == code


@pytest.mark.parametrize(
    ("routes", "consumed", "queue"),
    [
        pytest.param(None, ["celery"], "celery", id="the-default"),
        pytest.param(None, ["mail"], "mail", id="a-worker-of-one-queue"),
        pytest.param(None, [], "celery", id="a-worker-of-none"),
        pytest.param({"shop.pay": "mail"}, ["celery", "mail"], "mail", id="a-route-by-name"),
        pytest.param(
            {"shop.pay": {"queue": "mail"}}, ["celery", "mail"], "mail", id="a-route-with-options"
        ),
        pytest.param({"shop.*": "mail"}, ["celery", "mail"], "celery", id="a-pattern"),
        pytest.param({"shop.pay": "gone"}, ["celery"], "celery", id="a-route-to-elsewhere"),
        pytest.param([lambda *_: "mail"], ["celery"], "celery", id="a-router"),
    ],
)
def test_a_task_usually_comes_by(app: Celery, routes: Any, consumed: list[str], queue: str):
    """Looked up without creating a queue that the worker would then consume."""
    app.conf.update(task_default_queue="celery", task_routes=routes)
    before = set(app.amqp.queues)
    assert seams.usual_queue(app, "shop.pay", consumed) == queue
    assert set(app.amqp.queues) == before
