"""The app of the tests about other software in the process: odd tasks, and odd company.

COMPANY names who else is there: `ddtrace`, `provider`, `contrib`, `sentry`, `prerun`. As a program,
it sends the tasks that its arguments name and prints what became of each, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import beside_ddtrace  # noqa: F401 - first, before what it patches
from celery import Celery, current_app, signals
from celery.utils.log import get_task_logger
from opentelemetry import baggage, context, metrics, trace
from watching import watch

COMPANY = os.environ.get("COMPANY", "").split(",")
logger = get_task_logger(__name__)
tracer = trace.get_tracer("company")

app = Celery("company", broker=os.environ["CASES_BROKER"], backend=os.environ["CASES_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_always_eager=bool(os.environ.get("EAGER")),
)


def raises(**_: Any) -> None:
    """Be a handler of somebody else's that is broken."""
    raise RuntimeError("theirs")


if "prerun" in COMPANY:
    for signal in (
        signals.worker_init, signals.worker_process_init, signals.task_received,
        signals.before_task_publish, signals.after_task_publish,
        signals.task_prerun, signals.task_postrun, signals.task_success, signals.task_failure,
    ):  # fmt: skip
        signal.connect(raises, weak=False)
if "provider" in COMPANY:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
if "sentry" in COMPANY:
    import sentry_sdk
    from sentry_sdk.integrations.celery import CeleryIntegration

    sentry_sdk.init(os.environ["CASES_DSN"], integrations=[CeleryIntegration()])
if "contrib" in COMPANY:
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    CeleryInstrumentor().instrument()
if os.environ.get("BREAK"):
    from breaking import break_hooks

    break_hooks(os.environ["BREAK"])
watch(app)


@app.task(name="company.works")  # type: ignore[untyped-decorator]
def works() -> str:
    """Make a span, a point and a log record."""
    with tracer.start_as_current_span("inner"):
        metrics.get_meter("company").create_counter("made").add(1)
        logger.warning("said")
    return "done"


@app.task(name="company.fails")  # type: ignore[untyped-decorator]
def fails() -> None:
    raise ValueError("no")


@app.task(name="company.retries", bind=True, max_retries=1)  # type: ignore[untyped-decorator]
def retries(self: Any) -> str:
    if not self.request.retries:
        raise self.retry(countdown=0)
    return "again"


@app.task(name="company.sends")  # type: ignore[untyped-decorator]
def sends() -> str:
    """Send a task, and run two in here."""
    works.delay()
    return f"{works.apply().result}, {fails.apply().state}"


@app.task(name="company.ends")  # type: ignore[untyped-decorator]
def ends() -> str:
    """End the current span, which is not ours to end, and go on with it."""
    span = trace.get_current_span()
    span.end()
    span.set_attribute("late", 1)
    span.end()
    return "ended"


@app.task(name="company.renames")  # type: ignore[untyped-decorator]
def renames() -> str:
    """Change all that can be changed of the current span."""
    span = trace.get_current_span()
    span.update_name("renamed")
    span.set_attribute("messaging.message.id", "another")
    span.set_status(trace.StatusCode.ERROR, "mine")
    return "renamed"


@app.task(name="company.leaves")  # type: ignore[untyped-decorator]
def leaves() -> str:
    """Attach contexts and never detach them, detach what was not attached, and out of order."""
    first = context.attach(baggage.set_baggage("left", "behind"))
    context.attach(trace.set_span_in_context(tracer.start_span("never ended")))
    context.detach(first)
    context.detach(first)
    context.attach(context.Context())
    context.attach(trace.set_span_in_context(trace.INVALID_SPAN))
    return "left"


@app.task(name="company.exits")  # type: ignore[untyped-decorator]
def exits() -> str:
    """Leave spans in the wrong order, and one twice."""
    outer, inner = (tracer.start_as_current_span(name) for name in ("outer", "nested"))
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    return "out"


@app.task(name="company.probes", bind=True)  # type: ignore[untyped-decorator]
def probes(self: Any) -> str:
    """Tell whether the context is that of this task, and holds nothing of another."""
    with tracer.start_as_current_span("probe") as span:
        span.set_attribute("task", self.request.id)
    return str(baggage.get_all() or "clean")


def main(names: list[str]) -> None:
    """Send the tasks, one after the other."""
    sent = [current_app.tasks[f"company.{name}"].delay() for name in names]
    found = [repr(each.get(timeout=120, propagate=False)) for each in sent]
    print(json.dumps([[each.id for each in sent], found]))


if __name__ == "__main__":
    main(sys.argv[1:])
