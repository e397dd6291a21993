"""An app whose task notes in the broker's Redis that it ran."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from typing import Any

import redis
from celery import Celery
from opentelemetry import trace
from watching import watch

app = Celery("stopping", broker=os.environ["CASES_BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True)
watch(app)
faulthandler.register(signal.SIGUSR1, file=sys.__stderr__)

tracer = trace.get_tracer("stopping")
notes = redis.Redis.from_url(os.environ["CASES_BROKER"])


@app.task(name="noted", bind=True)  # type: ignore[untyped-decorator]
def noted(self: Any) -> None:
    """Note the id, then make a span."""
    notes.rpush("ran", self.request.id)
    with tracer.start_as_current_span("inner"):
        pass
