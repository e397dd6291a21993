"""What does a Sentry event say of a task, and what may it not say?

An event is the plain dictionary of Sentry's event protocol, before it is serialised.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from otel_celery import conventions as c
from otel_celery.facts import Delivery, Ended
from otel_celery.redaction import MESSAGE_LIMIT, cut, redacted, redacted_copy, redacted_repr

Event = dict[str, Any]

TASK_ID = "celery_task_id"
"""The tag that Sentry's own CeleryIntegration gives."""

_TRACE_URL = "trace_url"
_CONTEXT = "OpenTelemetry"
_JOB = "celery-job"  # where Sentry's CeleryIntegration puts arguments
_ARGUMENTS = {"args": "argsrepr", "kwargs": "kwargsrepr"}
_LONGEST_TAG = 200  # characters; Sentry drops a longer value
_REPR_LIMIT = 1024
_HANDED_EVERYTHING = {"celery", "billiard", "otel_celery"}  # their frames hold a task's arguments
# What Celery's consumer logs of messages that main reports itself, with the message's body.
_CONSUMER = "celery.worker.consumer.consumer"
_OF_MESSAGES = (
    "Received unregistered task of type",
    "Received invalid task message",
    "Received and deleted unknown message",
    "Can't decode message body",
)


class About(NamedTuple):
    """What every event of one delivery says."""

    task: str
    id: str
    queue: str
    worker: str
    retries: int
    trace_id: str
    span_id: str  # of the process span

    @classmethod
    def delivery(cls, delivery: Delivery, worker: str) -> About:
        """Return it for a delivery as main knows it."""
        return cls(
            delivery.name,
            delivery.id,
            delivery.queue,
            worker,
            int(delivery.attributes.get(c.TASK_RETRIES, 0)),
            delivery.own.trace_id,
            delivery.own.span_id,
        )


def label(event: Event, about: About, state: str, trace_url: str) -> None:
    """Say in an event which delivery it is of.

    Args:
        event: gets tags, the context "OpenTelemetry" and the task's name.
        about: the delivery.
        state: what became of it; "" while it runs.
        trace_url: template of the address of a trace, "" for none.
    """
    tags = {
        c.TASK_NAME: about.task,
        TASK_ID: about.id,
        c.QUEUE: about.queue,
        c.WORKER_NAME: about.worker,
        c.TASK_RETRIES: str(about.retries),
    }
    where = {"trace_id": about.trace_id, "span_id": about.span_id}
    if state:
        tags[c.TASK_STATE] = state
    if trace_url:
        url = where[_TRACE_URL] = trace_url.replace("{trace_id}", about.trace_id)
        if len(url) <= _LONGEST_TAG:
            tags[_TRACE_URL] = url
    if not event.get("transaction"):
        event["transaction"] = about.task
    event.setdefault("tags", {}).update(tags)
    event.setdefault("contexts", {})[_CONTEXT] = where


def made_by_main(about: About, ended: Ended) -> Event:
    """Return the event of a delivery that ended where no Python code could see it.

    It has no stack to be grouped by: state and task do that.

    Args:
        about: the delivery.
        ended: timeout, lost, unknown or invalid.
    """
    failure = ended.failure() if ended.failure is not None else None
    text = failure.message if failure is not None else ""
    said = {
        "type": failure.type if failure is not None else ended.error_type,
        "value": cut(redacted(text), MESSAGE_LIMIT) or about.task,
        "mechanism": {"type": "otel-celery", "handled": False},
    }
    return {
        "level": "error",
        "timestamp": datetime.fromtimestamp(ended.end_ns / 1e9, timezone.utc),
        "fingerprint": ["celery", ended.state, about.task],
        "exception": {"values": [said]},
    }


def limit_arguments(event: Event, request: Mapping[str, Any] | None) -> None:
    """Take a task's arguments out of an event, or tell them as spans do.

    Args:
        event: has them whole, where Sentry's `send_default_pii` is on.
        request: Celery's, to tell them cut and redacted; None: they are not told.
    """
    extra = event.setdefault("extra", {})
    job = extra.get(_JOB)
    job = extra[_JOB] = dict(job) if isinstance(job, dict) else {}
    for key, text in _ARGUMENTS.items():
        job.pop(key, None)
        if request is not None:
            job[key] = cut(redacted_repr(str(request.get(text) or "")), _REPR_LIMIT)
    if not job:
        del extra[_JOB]
    if request is None:
        for stacks in ("exception", "threads"):  # the latter where no exception was at hand
            for each in (event.get(stacks) or {}).get("values") or ():
                for frame in (each.get("stacktrace") or {}).get("frames") or ():
                    if str(frame.get("module")).partition(".")[0] in _HANDED_EVERYTHING:
                        frame.pop("vars", None)


def told_by_main(event: Event) -> bool:
    """Is this event a log record of something that main reports itself?"""
    said = event.get("logentry") or {}
    return event.get("logger") == _CONSUMER and _of_message(said.get("message"))


def clean(event: Event) -> Event:
    """Return a copy of an event without credentials of URLs, and without bodies of messages.

    What only Sentry can make text of is left.
    """
    crumbs = event.get("breadcrumbs")
    if isinstance(crumbs, dict) and isinstance(crumbs.get("values"), list):
        kept = [
            crumb
            for crumb in crumbs["values"]
            if not (crumb.get("category") == _CONSUMER and _of_message(crumb.get("message")))
        ]
        event = {**event, "breadcrumbs": {**crumbs, "values": kept}}
    copy: Event = redacted_copy(event)
    return copy


def _of_message(text: object) -> bool:
    return isinstance(text, str) and text.startswith(_OF_MESSAGES)
