"""The watched app with results, and with a task that says how long it was on its way."""

from __future__ import annotations

import os
import time
from typing import Any

import redis
from watched_app import app

app.conf.task_ignore_result = os.environ.get("WATCHED_RESULTS") != "yes"
app.conf.result_backend_transport_options = {
    "retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.1}
}
NOTES = redis.Redis.from_url(os.environ["WATCHED_NOTES"])


@app.task(name="late")  # type: ignore[untyped-decorator]
def late(sent_at: float) -> None:
    """Note when the task was sent, and when it began."""
    NOTES.rpush("late", f"{sent_at} {time.time()}")


@app.task(name="noted", bind=True, max_retries=1)  # type: ignore[untyped-decorator]
def noted(self: Any, how: str) -> str:
    """Note each attempt; then end as told."""
    NOTES.rpush("noted", f"{how} {self.request.retries}")
    if how == "fails":
        raise ValueError(how)
    if how == "retries" and self.request.retries == 0:
        raise self.retry(countdown=0)
    return how
