"""The cases app with tasks that log, and what must never leave: arguments, results, handlers."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import Any

from celery import signals
from celery.utils.log import get_task_logger
from shop_of_cases import app, mark, tracer

if os.environ.get("CASES_HIJACK") == "no":
    app.conf.worker_hijack_root_logger = False
    logging.basicConfig(format="OWN %(levelname)s %(message)s", level=logging.INFO)
app.conf.worker_redirect_stdouts = os.environ.get("CASES_REDIRECT") != "no"

task_logger = get_task_logger("talking_app")
plain_logger = logging.getLogger("elsewhere")
alone = logging.getLogger("alone")  # neither handlers nor a way to the root's
alone.propagate = False
alone.setLevel(logging.INFO)


@app.task(name="talk.speaks")
def speaks(secret: str) -> str:
    """Log by each kind of logger, within a span too; return what must not leave."""
    task_logger.info("by %s logger", "the task's", extra={"cart": 3})
    plain_logger.debug("too quiet")
    plain_logger.warning("by a plain one")
    alone.error("by one without handlers")
    with tracer.start_as_current_span("inner"):
        task_logger.info("within a span")
    try:
        raise ValueError("boom")
    except ValueError:
        plain_logger.exception("with an exception")
    print("printed")  # Celery makes it a record
    logging.getLogger("celery.app.trace").warning("as Celery would: %s", secret)
    return secret


@app.task(name="talk.fails")
def fails(secret: str) -> None:
    """Log, then fail: Celery logs arguments and traceback."""
    task_logger.info("about to fail")
    raise ValueError("nothing that leaves here")


@app.task(name="talk.dies")
def dies() -> None:
    """Log, then be killed."""
    for number in range(20):
        task_logger.info("last words %d", number)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="talk.chats", bind=True)
def chats(self: Any, lines: int, seconds: float = 0.0) -> None:
    """Log much; then, if asked, go on for a while, and log once more."""
    for number in range(lines):
        task_logger.info("line %d", number)
    mark("started", self)
    if seconds:
        time.sleep(seconds)
        task_logger.info("line %d", lines)


@signals.worker_ready.connect
def _on_ready(**_: Any) -> None:
    plain_logger.warning("outside of tasks")


@signals.worker_process_init.connect
def _own_provider(**_: Any) -> None:
    if os.environ.get("CASES_OWN_LOGS"):
        from opentelemetry._logs import set_logger_provider
        from opentelemetry.sdk._logs import LoggerProvider

        set_logger_provider(LoggerProvider(shutdown_on_exit=False))
