"""The app of the worker tests: one task for each way in which a delivery can end."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from celery import Celery, Task, chain, chord, group
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.worker.request import Request
from celery_batches import Batches
from kombu import Exchange, Queue
from opentelemetry import trace

import otel_celery

BROKER = os.environ["CASES_BROKER"]
app = Celery("cases", broker=BROKER, backend=os.environ["CASES_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_pool_restarts=True,
    worker_prefetch_multiplier=4,
    broker_pool_limit=int(os.environ.get("CASES_POOL_LIMIT", "10")),
    task_queues=[
        Queue("celery", Exchange("celery"), "celery"),
        Queue("orders", Exchange("shop", type="topic"), "order.#"),
    ],
    worker_send_task_events=False,
)
if os.environ.get("CASES_SPAWN"):
    app.conf.worker_pool_start_method = "spawn"
    app.conf.worker_proc_alive_timeout = 60  # to import all this, on a busy machine
otel_celery.instrument(app)

tracer = trace.get_tracer("cases")


class OwnRequest(Request):
    """A Request class as users write them."""

    def on_accepted(self, pid: int, time_accepted: float) -> Any:
        self.own = True
        return super().on_accepted(pid, time_accepted)


class OwnRequestTask(Task):
    Request = "shop_of_cases:OwnRequest"


def mark(name: str, task: Any) -> None:
    """Say through the result backend's Redis that a task has come so far."""
    app.backend.client.set(f"mark:{name}:{task.request.id}", 1)


@app.task(base=OwnRequestTask)
def success() -> str:
    current = trace.get_current_span()
    current.set_attribute("cart.items", 3)
    current.add_event("packed", {"box": "small"})
    with tracer.start_as_current_span("inner"):
        pass
    return "done"


@app.task
def failure() -> None:
    raise ValueError("boom at redis://user:secret@host/0")


@app.task(throws=(KeyError,))
def expected_failure() -> None:
    raise KeyError("known")


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def retry(self: Any) -> None:
    if self.request.retries == 0:
        raise self.retry(countdown=0, exc=OSError("again"))


@app.task
def ignore() -> None:
    raise Ignore


@app.task(acks_late=True)
def reject() -> None:
    raise Reject("no", requeue=False)


@app.task(bind=True, acks_late=True)
def requeue(self: Any) -> None:
    if not self.request.delivery_info["redelivered"]:
        raise Reject("later", requeue=True)


@app.task(soft_time_limit=1)
def soft_limit() -> None:
    time.sleep(10)


@app.task(time_limit=1)
def hard_limit() -> None:
    trace.get_current_span().set_attribute("cart.items", 4)
    with tracer.start_as_current_span("inner"):
        pass
    time.sleep(20)


@app.task
def killed() -> None:
    with tracer.start_as_current_span("inner"):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def sys_exit() -> None:
    sys.exit(3)


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def lost_and_requeued(self: Any) -> None:
    if not self.request.delivery_info["redelivered"]:
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def slow(self: Any, seconds: float = 30) -> None:
    mark("started", self)
    time.sleep(seconds)


@app.task(bind=True)
def survivor(self: Any) -> str:
    mark("started", self)
    try:
        time.sleep(20)
    except SoftTimeLimitExceeded:
        return "survived"
    return "slept"


@app.task(rate_limit="5/s")
def rate_limited() -> None:
    pass


@app.task(base=Batches, flush_every=2, flush_interval=1)
def batched(requests: Any) -> None:
    pass


@app.task(bind=True, max_retries=2)
def topic_retry(self: Any) -> None:
    if self.request.retries < 2:
        with app.producer_pool.acquire(block=True) as producer:
            # Redis knows a topic exchange only in processes that declared it.
            app.amqp.queues["orders"](producer.channel).declare()
        raise self.retry(countdown=0)


@app.task
def nested() -> None:
    with tracer.start_as_current_span("inner"):
        success.delay()


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def eager_inside() -> None:
    add.apply((1, 2))


@app.task
def odd_text() -> None:
    raise ValueError("\ud800é☃\x00" * 250_000)


def canvas() -> dict[str, Any]:
    """Return the canvases to send, by case."""
    return {
        "chain": chain(add.s(1, 2), add.s(3)),
        "group": group(add.s(1, 2), add.s(3, 4)),
        "chord": chord([add.s(1, 2), add.s(3, 4)], total.s()),
    }
