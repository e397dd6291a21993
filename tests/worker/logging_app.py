"""The cases app with tasks that log, and log formats that say which task did."""

from __future__ import annotations

import logging
from typing import Any

from celery import signals
from celery.utils.log import get_task_logger
from opentelemetry import trace
from shop_of_cases import app, tracer

IDS = "trace=%(trace_id)s span=%(span_id)s said=%(message)s"
app.conf.worker_log_format = "OUTSIDE " + IDS
app.conf.worker_task_log_format = "INSIDE " + IDS

task_logger = get_task_logger("logging_app")
plain_logger = logging.getLogger("elsewhere")


class WithId(logging.Filter):
    """Puts the attribute whose name no format can use into the message."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = f"{record.msg} [{record.__dict__['celery.task.id']}]"
        return True


for logger in (task_logger, plain_logger):
    logger.addFilter(WithId())


@app.task(name="logging.speaks")
def speaks() -> tuple[str, str]:
    """Log by both loggers, and within a span; return the ids of that span."""
    task_logger.info("by the task's logger")
    plain_logger.warning("by a plain one")
    with tracer.start_as_current_span("inner") as span:
        task_logger.info("within a span")
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


@signals.worker_ready.connect
def _on_ready(**_: Any) -> None:
    plain_logger.warning("outside of tasks")
