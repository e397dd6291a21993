"""A worker that is its own client, over a broker in memory. Run as a program."""

from __future__ import annotations

import sys

from celery import Celery
from celery.signals import worker_ready

import otel_celery

app = Celery("shop", broker="memory://", backend="cache+memory://")
otel_celery.instrument(app)


@app.task(name="shop.pay")
def pay(number: int) -> int:
    """Fail now and then."""
    return 1 // (number % 5)


@worker_ready.connect
def shop(**_: object) -> None:
    for number in range(20):
        pay.delay(number)


if __name__ == "__main__":
    app.worker_main(["worker", "--pool", "solo", "--loglevel", "warning", *sys.argv[1:]])
