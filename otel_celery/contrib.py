"""What does opentelemetry-instrumentation-celery ("contrib") call what we tell?

Its names are data here, as ours are in `conventions`; a test holds them to the real one.

Source: opentelemetry-instrumentation-celery 0.66b2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_celery import conventions as c
from otel_celery.conventions import Metric
from otel_celery.envelope import short
from otel_celery.redaction import cut
from otel_celery.span import CONSUMER, ERROR, PRODUCER, Event, FinishedSpan

CONTRIB, DUP = "contrib", "dup"  # of OTEL_CELERY_NAMES
_LONGEST = 1024  # characters of a text made of a message

APPLY_ASYNC, RUN = "apply_async", "run"

ACTION, TASK_NAME, STATE = "celery.action", "celery.task_name", "celery.state"
RETRIES, ETA, EXPIRES = "celery.retries", "celery.eta", "celery.expires"
RETRY_REASON = "celery.retry.reason"
DESTINATION, DESTINATION_KIND = "messaging.destination", "messaging.destination_kind"
CONVERSATION_ID = "messaging.conversation_id"
HOSTNAME, REPLY_TO = "celery.hostname", "celery.reply_to"
DELIVERY_INFO, TIME_LIMIT = "celery.delivery_info", "celery.timelimit"
_ESCAPED = "exception.escaped"

RENAMED: Mapping[str, str] = {
    c.TASK_NAME: TASK_NAME,
    c.TASK_STATE: STATE,
    c.OPERATION_NAME: ACTION,
    c.QUEUE: DESTINATION,
    c.TASK_RETRIES: RETRIES,
    c.TASK_ETA: ETA,
    c.TASK_EXPIRES: EXPIRES,
    c.WORKER_NAME: HOSTNAME,
}
"""Ours that go where the names are contrib's; all else it has no name for, and stays."""

# What Celery itself calls an end for which it has no word of its own.
_STATES = {
    c.TIMEOUT: "FAILURE", c.LOST: "FAILURE", c.UNKNOWN: "FAILURE", c.INVALID: "FAILURE",
    c.EXPIRED: "REVOKED", c.REQUEUED: "REJECTED",
}  # fmt: skip

RUNTIME = Metric(
    "flower.task.runtime.seconds", "histogram", "seconds", "The time it took to run the task.",
    ("task", "worker"),
    (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
     10000.0),
)  # fmt: skip
"""Its buckets are the SDK's own, as contrib asks for none."""


def told_by(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return what contrib says of a delivery and we do not, of what Celery makes of its message."""
    found: dict[str, Any] = {}
    for field, key in (
        ("origin", HOSTNAME),
        ("correlation_id", CONVERSATION_ID),
        ("reply_to", REPLY_TO),
    ):
        if text := short(headers.get(field)):
            found[key] = text
    info = headers.get("delivery_info")
    if isinstance(info, Mapping):
        plain = {key: value for key, value in info.items() if key != c.HANDLE}
        found[DELIVERY_INFO] = cut(str(plain), _LONGEST)
        if text := short(info.get("routing_key")):
            found[DESTINATION] = text
    limits = headers.get("timelimit")
    if isinstance(limits, (list, tuple)) and len(limits) == 2:
        given = [limit for limit in limits if isinstance(limit, (int, float)) and 0 < limit < 1e9]
        if len(given) == 2:
            found[TIME_LIMIT] = given
        elif given and None in limits:
            found[TIME_LIMIT] = ["" if limit is None else short(limit) for limit in limits]
    return found


def named(span: FinishedSpan, names: str) -> FinishedSpan:
    """Return a span under contrib's names; where the names are doubled, with ours beside them.

    A span has one name, one kind and one description: doubled, they are ours.
    """
    publish, eager = span.kind == PRODUCER, c.TASK_EAGER in span.attributes
    if not (publish or eager or span.kind == CONSUMER):
        return span  # beat's, of which contrib knows nothing
    action = APPLY_ASYNC if publish else RUN
    theirs = {RENAMED[key]: value for key, value in span.attributes.items() if key in RENAMED}
    theirs.update(_of_publish(theirs) if publish else _of_run(span))
    if names == DUP:
        return span._replace(attributes={**theirs, **span.attributes, ACTION: action})
    kept = {key: value for key, value in span.attributes.items() if key not in RENAMED}
    return span._replace(
        name=f"{action}/{span.attributes[c.TASK_NAME]}",
        kind=PRODUCER if publish else CONSUMER,
        attributes={**theirs, **kept, ACTION: action},
        description=_message(span) if span.status == ERROR else "",
        events=[_event(event) for event in span.events],
    )


def _of_publish(theirs: dict[str, Any]) -> dict[str, Any]:
    for key in (RETRIES, ETA, EXPIRES):  # it says so of the run only
        theirs.pop(key, None)
    return {DESTINATION_KIND: "queue"}


def _of_run(span: FinishedSpan) -> dict[str, Any]:
    state = str(span.attributes[c.TASK_STATE])
    found = {STATE: _STATES.get(state) or state.upper()}
    if state == c.RETRY and span.events:
        found[RETRY_REASON] = f"{span.attributes.get(c.ERROR_TYPE)}: {_message(span)}"
    return found


def _message(span: FinishedSpan) -> str:
    """Return what the exception says, without its class."""
    for event in span.events:
        return str(event.attributes[c.EXCEPTION_MESSAGE])
    return span.description


def _event(event: Event) -> Event:
    """Return an exception as the SDK's `record_exception` tells it."""
    told = dict(event.attributes)
    told[c.EXCEPTION_TYPE] = str(told[c.EXCEPTION_TYPE]).removeprefix("builtins.")
    told[_ESCAPED] = "False"
    return event._replace(attributes=told)
