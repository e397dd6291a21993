"""How long did a task wait, and since when?

Stamps come from other machines and other programs: what makes no sense counts as absent, and two
clocks that disagree never make a negative wait.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone

_END_OF_TIME = 253_402_300_800.0  # year 10000; milliseconds taken for seconds lie beyond it
_MAX_TEXT = 64  # no stamp is longer; what is longer is not parsed
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[T ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)


def queue_wait(sent_at: float, started_at: float, due_at: float = 0.0) -> tuple[float, bool]:
    """Return how long a task was due but had not started.

    Delay that the sender asked for (eta, countdown, retry backoff) is not waiting. A worker's
    timer may ring a moment before the eta, by the worker's own clock: that is no skew.

    Args:
        sent_at: publish stamp, Unix seconds, producer's clock.
        started_at: Unix seconds, worker's clock.
        due_at: eta in Unix seconds; 0 when the task was due at once.

    Returns:
        (seconds >= 0, skewed). `skewed` says that the task started before it was sent, so the
        clocks disagree and the wait was cut to 0; the caller counts it instead of hiding it.
    """
    return max(started_at - max(sent_at, due_at), 0.0), started_at < sent_at


def prefetch_wait(received_at: float, started_at: float, due_at: float = 0.0) -> float:
    """Return how long a worker held a task that was due; waiting for the eta is not in it.

    Args:
        received_at: Unix seconds, worker's clock, as all three.
        started_at: when a pool process took it.
        due_at: eta; 0 when the task was due at once.

    Returns:
        Seconds, 0 if the worker's clock was set back meanwhile.
    """
    return max(started_at - max(received_at, due_at), 0.0)


def due_time(eta: object) -> float | None:
    """Return the Unix seconds of an ISO 8601 eta, None if there is none or it makes no sense.

    A time without an offset is UTC, which is what Celery sends unless `enable_utc` is off.
    Takes what other producers write too: `Z`, an offset without colon, 1 to 9 decimals.
    """
    if isinstance(eta, datetime):
        return _unix(eta)
    if not isinstance(eta, str) or len(eta) > _MAX_TEXT:
        return None
    found = _ISO.fullmatch(eta)
    if found is None:
        return None
    day, minutes, second, decimals, offset = found.groups()
    # Python 3.10 reads only the one form that `isoformat` writes.
    text = f"{day}T{minutes or '00:00'}:{second or '00'}.{(decimals or '')[:6]:0<6}"
    try:
        return _unix(datetime.fromisoformat(text + _colon(offset)))
    except ValueError:
        return None


def stamp(value: object) -> float | None:
    """Return the Unix seconds in a publish stamp, None if it makes no sense.

    Args:
        value: the header `otel-celery-sent` or the AMQP property `timestamp`, untrusted.
    """
    if isinstance(value, datetime):
        return _unix(value)
    if isinstance(value, bool) or not isinstance(value, (str, bytes, int, float)):
        return None
    if isinstance(value, (str, bytes)) and len(value) > _MAX_TEXT:
        return None
    try:
        return _sane(float(value))
    except (ValueError, OverflowError):
        return None


def _unix(moment: datetime) -> float | None:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return _sane(moment.timestamp())


def _sane(unix: float) -> float | None:
    return unix if math.isfinite(unix) and 0 < unix < _END_OF_TIME else None


def _colon(offset: str | None) -> str:
    if offset is None or offset in "Zz":
        return "+00:00"
    digits = offset[1:].replace(":", "")
    return f"{offset[0]}{digits[:2]}:{digits[2:] or '00'}"
