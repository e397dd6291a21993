"""An app with what only RabbitMQ has: quorum queues, real priorities, and its own delays."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

import otel_celery

QUORUM = {"x-queue-type": "quorum"}
SHOP, NEWS = Exchange("delayed-shop", type="topic"), Exchange("news", type="fanout")
QUEUES = [
    Queue("delayed", SHOP, "task", queue_arguments=QUORUM),
    Queue("delayed-orders", SHOP, "order.#", queue_arguments=QUORUM),
    Queue("urgent", SHOP, "urgent", queue_arguments={"x-max-priority": 9}),
    Queue("news-here", NEWS, "news"),
]

app = Celery("delayed", broker=os.environ["CASES_BROKER"], backend=os.environ["CASES_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_native_delayed_delivery_queue_type="classic",
    broker_transport_options={"confirm_publish": True},
    task_ignore_result=True,
    task_default_queue="delayed",
    task_default_exchange=SHOP.name,
    task_default_exchange_type=SHOP.type,
    task_default_routing_key="task",
    task_queues=QUEUES,
    worker_prefetch_multiplier=1,
)
otel_celery.instrument(app)


@app.task(name="quick")
def quick() -> None:
    """Do nothing."""


@app.task(name="again", bind=True, max_retries=2)
def again(self: Any) -> None:
    """Succeed at the third attempt; before it, wait a moment."""
    if self.request.retries < 2:
        raise self.retry(countdown=1)
