"""What do a message's headers say of its delivery?

They are untrusted: what makes no sense is left out, and what is too long for a span is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_celery import contrib, envelope, timing
from otel_celery import conventions as c
from otel_celery.facts import Delivery
from otel_celery.redaction import cut, redacted_repr

REPR_LIMIT = 1024  # characters of arguments or a result, where their capture is switched on
_LONGEST = 1e9  # seconds; no time limit is longer


def read_headers(delivery: Delivery, headers: Mapping[str, Any], capture: Sequence[str]) -> None:
    """Take from a message's headers what the speaker needs later, so that they can be let go."""
    delivery.sent_at = (
        timing.stamp(headers.get(c.SENT))
        or timing.stamp(envelope.carried(headers).get(c.SENT))
        or timing.stamp(_inside(headers, "properties").get("timestamp"))
    )
    delivery.due_at = timing.due_time(headers.get("eta"))
    found = {**delivery.attributes, **envelope.when_set(envelope.told_by(headers))}
    delivery.attributes = found
    priority = _inside(headers, "delivery_info").get("priority")
    if priority and type(priority) is int:  # kombu sends 0 where none was asked for
        found[c.TASK_PRIORITY] = priority
    hard, soft = _limits(headers.get("timelimit"))
    if delivery.task is not None:
        hard = hard or _seconds(delivery.task.time_limit)
        soft = soft or _seconds(delivery.task.soft_time_limit)
        run = delivery.task.run
        found[c.CODE_FUNCTION] = f"{run.__module__}.{getattr(run, '__qualname__', '')}"
    if hard is not None:
        found[c.TASK_TIME_LIMIT] = hard
    if soft is not None:
        found[c.TASK_SOFT_TIME_LIMIT] = soft
    if "args" in capture:
        found[c.TASK_ARGS] = cut(redacted_repr(str(headers.get("argsrepr") or "")), REPR_LIMIT)
        found[c.TASK_KWARGS] = cut(redacted_repr(str(headers.get("kwargsrepr") or "")), REPR_LIMIT)
    if contrib.CONTRIB in capture:
        found.update(contrib.told_by(headers))


def _inside(headers: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = headers.get(key)
    return value if isinstance(value, Mapping) else {}


def _limits(value: object) -> tuple[float | None, float | None]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return _seconds(value[0]), _seconds(value[1])
    return None, None


def _seconds(value: object) -> float | None:
    """Return a time limit, None if there is none or it makes no sense."""
    if isinstance(value, (int, float)) and 0 < value < _LONGEST:
        return float(value)
    return None
