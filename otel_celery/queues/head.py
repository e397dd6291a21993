"""How long has the message at the head of a queue waited?"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from otel_celery.conventions import SENT


def waited(message: bytes | str, now: float) -> float | None:
    """Return how long a stored message has been due.

    Delay that the sender asked for is not waiting: a message whose eta is to come has waited 0.

    Args:
        message: kombu's envelope as its virtual transports store it.
        now: Unix seconds.

    Returns:
        Seconds >= 0, or None when nothing in it says when it was sent.
    """
    try:
        envelope = json.loads(message)
    except (ValueError, RecursionError):
        return None
    headers = _mapping(envelope, "headers")
    properties = _mapping(envelope, "properties")
    sent_at = _seconds(headers.get(SENT)) or _seconds(properties.get("timestamp"))
    if sent_at is None:
        return None
    return max(0.0, now - max(sent_at, _due_at(headers.get("eta"))))


def _mapping(source: Any, key: str) -> Mapping[str, Any]:
    found = source.get(key) if isinstance(source, dict) else None
    return found if isinstance(found, dict) else {}


def _seconds(stamp: Any) -> float | None:
    """Return a stamp as Unix seconds, None unless it is a time after 1970."""
    if isinstance(stamp, bool) or not isinstance(stamp, (str, int, float)):
        return None
    try:
        seconds = float(stamp)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _due_at(eta: Any) -> float:
    """Return an ISO 8601 instant as Unix seconds, 0 when there is none.

    Celery writes etas with their offset; one without is taken as UTC, Celery's default.
    """
    if not isinstance(eta, str):
        return 0.0
    try:
        due = datetime.fromisoformat(eta.replace("Z", "+00:00"))
        return (due if due.tzinfo else due.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
