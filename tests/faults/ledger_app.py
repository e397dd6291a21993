"""The app of the ledger: every task, and every delivery in main, is written into the books."""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from books import Pen
from celery import Celery, Task
from celery.exceptions import Ignore, Reject, Retry
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from opentelemetry import trace
from watching import watch

app = Celery("ledger", broker=os.environ["CASES_BROKER"], backend=os.environ["CASES_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options=(
        {"visibility_timeout": 20}
        if app.conf.broker_url.startswith("redis")
        else {"confirm_publish": True}
    ),
    task_ignore_result=True,
    worker_consumer="ledger_app:BookConsumer",
    worker_prefetch_multiplier=4,
)
watch(app)
faulthandler.register(signal.SIGUSR2)  # says where each process hangs

tracer = trace.get_tracer("ledger")
pen = Pen(os.environ["BOOKS"])
_numbers = (f"{os.getpid()}/{n}" for n in itertools.count())


class BookRequest(Request):
    """Writes down what Celery tells a delivery."""

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        self.number = next(_numbers)
        told = self._delivery_info
        attempt = self._request_dict.get("retries") or 0
        pen("received", self.number, self.id, attempt, bool(told["redelivered"]))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__.get("on_success")
        if own is not None:

            def on_success(self: Any, told: Any, **options: Any) -> Any:
                if not told[0]:
                    self.note("ok")
                return own(self, told, **options)

            cls.on_success = on_success

    def note(self, word: str, more: object = None) -> None:
        pen("main", self.number, word, more)

    def on_accepted(self, pid: int, time_accepted: float) -> Any:
        self.note("accepted", pid)
        return super().on_accepted(pid, time_accepted)

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        try:
            return super().on_failure(exc_info, *args, **options)
        finally:
            self.note("failed", exc_info.type.__name__)

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if not soft:
            self.note("timeout")
        return super().on_timeout(soft, timeout)

    def reject(self, requeue: bool = False) -> Any:
        self.note("rejected", requeue)
        return super().reject(requeue)

    def _announce_revoked(self, reason: Any, terminated: bool, signum: Any, expired: bool) -> Any:
        if terminated:
            self.note("terminated")
        else:
            self.note("revoked", "expired" if expired else "revoked")
        return super()._announce_revoked(reason, terminated, signum, expired)

    def _announce_cancelled(self, *args: Any, **options: Any) -> Any:
        self.note("cancelled", bool(self._task.acks_late))
        return super()._announce_cancelled(*args, **options)


class BookConsumer(Consumer):
    """Writes down the messages that never become a Request."""

    def refused(self, message: Any, state: str) -> None:
        number, headers = next(_numbers), message.headers or {}
        redelivered = bool(message.delivery_info.get("redelivered"))
        pen("received", number, headers.get("id", ""), headers.get("retries") or 0, redelivered)
        pen("main", number, "refused", state)

    def on_unknown_task(self, body: Any, message: Any, exc: Any) -> Any:
        self.refused(message, "unknown")
        return super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Any) -> Any:
        self.refused(message, "invalid")
        return super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Any) -> Any:
        self.refused(message, "invalid")
        return super().on_decode_error(message, exc)


class BookTask(Task):
    Request = "ledger_app:BookRequest"


@contextlib.contextmanager
def written(task: Any) -> Iterator[None]:
    """Write down a body's run, and end a child span in it."""
    current = trace.get_current_span().get_span_context()
    run = f"{current.span_id:016x}" if current.is_valid else uuid4().hex
    request = task.request
    redelivered = bool(request.delivery_info["redelivered"])
    pen(
        "begin", request.id, request.retries, redelivered, os.getpid(), run,
        f"{current.trace_id:032x}",
    )  # fmt: skip
    with tracer.start_as_current_span("inner"):
        pass
    try:
        yield
    except Reject as how:
        pen("end", run, "requeued" if how.requeue else "rejected")
        raise
    except BaseException as how:
        pen("end", run, type(how).__name__)
        raise
    pen("end", run, "ok")


@contextlib.contextmanager
def sending(task_id: str) -> Iterator[None]:
    """Write down a call that publishes; of a retry, Retry is its success."""
    number, error = uuid4().hex, ""
    pen("sending", number, task_id)
    try:
        yield
    except Retry:
        raise
    except Exception as why:
        error = type(why).__name__
        raise
    finally:
        pen("sent", number, error)


def body(**options: Any) -> Any:
    """Make a task of a function of its Task."""

    def made(run: Any) -> Any:
        def task(self: Any) -> None:
            with written(self):
                run(self)

        task.__name__ = run.__name__
        return app.task(task, name=run.__name__, base=BookTask, bind=True, **options)

    return made


def again(self: Any) -> bool:
    return bool(self.request.delivery_info["redelivered"])


@body()
def quick(self: Any) -> None:
    pass


@body(acks_late=True, reject_on_worker_lost=True)
def late(self: Any) -> None:
    time.sleep(0.005)


@body()
def fails(self: Any) -> None:
    raise ValueError("no")


@body(max_retries=2)
def retries(self: Any) -> None:
    if self.request.retries < 2:
        with sending(self.request.id):
            raise self.retry(countdown=0)


@body()
def ignores(self: Any) -> None:
    raise Ignore


@body(acks_late=True)
def rejects(self: Any) -> None:
    raise Reject("no", requeue=False)


@body(acks_late=True)
def requeues(self: Any) -> None:
    if not again(self):
        raise Reject("later", requeue=True)


@body(soft_time_limit=0.3)
def soft(self: Any) -> None:
    time.sleep(20)


@body(time_limit=0.3)
def hard(self: Any) -> None:
    time.sleep(20)


@body()
def dies(self: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@body(acks_late=True, reject_on_worker_lost=True)
def dies_once(self: Any) -> None:
    if not again(self):
        os.kill(os.getpid(), signal.SIGKILL)


@body()
def exits(self: Any) -> None:
    sys.exit(3)


@body()
def publishes(self: Any) -> None:
    task_id = str(uuid4())
    with sending(task_id):
        quick.apply_async(task_id=task_id)


@body()
def naps(self: Any) -> None:
    time.sleep(0.5)


@body(acks_late=True)
def naps_late(self: Any) -> None:
    time.sleep(1)


@body()
def long(self: Any) -> None:
    """Sleep until it is revoked."""
    time.sleep(60)
