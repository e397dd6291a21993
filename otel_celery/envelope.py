"""What travels in a message's headers?

Incoming headers are untrusted: everything here accepts any value, does bounded work and never
raises; what is not well-formed counts as absent.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from otel_celery import conventions as c
from otel_celery.conventions import HANDLE, ORIGIN, SENT, TRACEPARENT, TRACESTATE

NO_PARENT = "0" * 16
WHEN_SET = (
    ("retries", c.TASK_RETRIES),
    ("eta", c.TASK_ETA),
    ("expires", c.TASK_EXPIRES),
    ("root_id", c.TASK_ROOT_ID),
    ("parent_id", c.TASK_PARENT_ID),
    ("group", c.TASK_GROUP_ID),
)
"""Headers of Celery's that become attributes of publish and process spans, when they are set."""
_WHEN_SET = tuple(field for field, _ in WHEN_SET)
_LONGEST = 255  # of names, ids and keys: AMQP's short string, and what result backends take
_MAX_TRACEPARENT = 200  # future versions may append fields; what is longer is not parsed
_MAX_TRACESTATE = 512  # W3C: "should propagate at least 512 characters"
_MAX_BAGGAGE = 8192  # W3C Baggage, 3.3.2, as its propagator has it
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_USUAL = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]").fullmatch
_ORIGIN = re.compile(r"00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-0[01]")
_TRACESTATE = re.compile(r"[\x20-\x7e]*")


class Trace(NamedTuple):
    """A span context as text: what a header holds, without the cost of an object."""

    trace_id: str  # 32 hex digits
    span_id: str  # 16 hex digits; NO_PARENT: none
    sampled: bool
    state: str = ""

    def header(self) -> str:
        """Return the `traceparent` text."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


trace: Callable[[tuple[str, str, bool, str]], Trace] = functools.partial(tuple.__new__, Trace)
"""Makes a `Trace` of all its fields, in half the time that its own `__new__` takes."""


def parse_traceparent(value: object, state: object = None) -> Trace | None:
    """Return the context that a `traceparent` and `tracestate` header name, None if malformed.

    Source: W3C Trace Context level 2, sections 3.2 and 3.3.
    """
    if type(value) is not str or len(value) > _MAX_TRACEPARENT:
        return None
    found = _TRACEPARENT.fullmatch(value)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if rest is not None and version == "00":
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & 1), clean_state(state))


def sender_in(headers: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return `traceparent` and `tracestate` of these headers as we write them; None if malformed.

    What everybody writes is taken as it is, in a quarter of the time that parsing it takes.
    """
    value, state = headers.get(TRACEPARENT), headers.get(TRACESTATE)
    if type(value) is str and _USUAL(value) is not None:
        return value, clean_state(state) if state else ""
    parsed = parse_traceparent(value, state)
    return None if parsed is None else (parsed.header(), parsed.state)


def trace_of(traceparent: str, state: str) -> Trace:
    """Return the context that a `traceparent` of ours names."""
    return Trace(traceparent[3:35], traceparent[36:52], traceparent[54] == "1", state)


def parse_origin(value: object) -> Trace | None:
    """Return the parent of a task's first publish; its span id may be NO_PARENT."""
    if type(value) is str and len(value) == 55 and _ORIGIN.fullmatch(value):
        return trace_of(value, "")
    return None


def clean_state(value: object) -> str:
    """Return a `tracestate` that is safe to carry on, else nothing."""
    if type(value) is str and len(value) <= _MAX_TRACESTATE and _TRACESTATE.fullmatch(value):
        return value
    return ""


def clean_baggage(value: object) -> str:
    """Return a `baggage` header that its propagator can be asked to read, else nothing."""
    return value if type(value) is str and len(value) <= _MAX_BAGGAGE else ""


def short(value: object) -> str:
    """Return a name or an id as text, cut where no honest one is as long; nothing for nonsense."""
    if type(value) is str:
        return value[:_LONGEST]
    return str(value)[:_LONGEST] if isinstance(value, (str, int, float, datetime)) else ""


def told_by(headers: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values of the headers of `WHEN_SET`, None where there is none."""
    return tuple(map(headers.get, _WHEN_SET))


def when_set(values: Sequence[Any]) -> dict[str, Any]:
    """Return what Celery's own headers add to a span, those that are set and make sense.

    Args:
        values: as `told_by` returns them.
    """
    found: dict[str, Any] = {}
    for (_, key), value in zip(WHEN_SET, values, strict=True):
        if not value:
            continue
        if key is c.TASK_RETRIES:
            if type(value) is int:
                found[key] = value
        elif text := short(value):
            found[key] = text
    return found


def carried(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return where our headers are; protocol 1 has them one level down, in its body's `headers`."""
    if TRACEPARENT not in headers:
        nested = headers.get("headers")
        if isinstance(nested, Mapping):
            return nested
    return headers


def new_trace_id() -> str:
    """Return 32 random hex digits; neither a fork nor `random.seed` can repeat them."""
    return os.urandom(16).hex()


def new_span_id() -> str:
    """Return 16 random hex digits, never all zero."""
    drawn = os.urandom(8).hex()
    return drawn if drawn != NO_PARENT else new_span_id()


def child_of(parent: Trace | None) -> Trace:
    """Return the context of a new span, kept as its parent is; without one it is a root, kept."""
    if parent is None:
        return trace((new_trace_id(), new_span_id(), True, ""))
    return trace((parent.trace_id, new_span_id(), parent.sampled, parent.state))


def write(headers: dict[str, Any], own: Trace, origin: Trace | None, sent_at: float) -> None:
    """Write our headers anew: a retry copies the headers of the delivery it retries."""
    headers[TRACEPARENT] = own.header()
    if own.state:
        headers[TRACESTATE] = own.state
    else:
        headers.pop(TRACESTATE, None)
    if origin is not None:
        headers[ORIGIN] = origin.header()
    else:
        headers.pop(ORIGIN, None)
    headers[SENT] = f"{sent_at:.6f}"


def read_handle(delivery_info: object) -> tuple[str, str] | None:
    """Return the reserved context that main put into `delivery_info`."""
    if isinstance(delivery_info, dict):
        found = delivery_info.get(HANDLE)
        if isinstance(found, (tuple, list)) and len(found) == 2:
            return found[0], found[1]
    return None
