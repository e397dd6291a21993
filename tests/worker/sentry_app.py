"""The cases app with Sentry started by itself, as CASES_SENTRY says, and more tasks that fail."""

from __future__ import annotations

import os
import signal
from typing import Any

import sentry_sdk
from celery import current_task
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from shop_of_cases import app

HOW: dict[str, dict[str, Any]] = {
    "plain": {},
    "explicit": {"integrations": [CeleryIntegration()]},
    "personal": {"send_default_pii": True},
    "without-celery": {"disabled_integrations": [CeleryIntegration()]},
    "without-dedupe": {"disabled_integrations": [DedupeIntegration()]},
    "traced": {"traces_sample_rate": 1.0},
}
if os.environ.get("CASES_SENTRY"):
    # Local variables in frames are the application's choice, and would hold every argument.
    sentry_sdk.init(
        os.environ["CASES_DSN"], include_local_variables=False, **HOW[os.environ["CASES_SENTRY"]]
    )


@app.task
def refused(card: str) -> None:
    sentry_sdk.set_tag("shop", "corner")
    raise ValueError("refused")


@app.task
def paid(card: str) -> str:
    return card


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def tried_again(self: Any, card: str) -> None:
    try:
        raise OSError("no answer")
    except OSError as exc:
        raise self.retry(countdown=0, exc=exc) from exc


@app.task
def lost(card: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def told_by_itself() -> None:
    try:
        raise ValueError("seen")
    except ValueError as exc:
        sentry_sdk.capture_exception(exc)
        raise


@app.task
def warned() -> None:
    sentry_sdk.capture_message("low on paper")


@app.task
def odd_result() -> object:
    return object()


@app.task
def sends() -> dict[str, Any]:
    """Send a message that nobody takes; tell which headers this task's own message had."""
    app.send_task("nobody.takes.it", queue="parked")
    return dict(current_task.request.headers or {})
