"""What is a finished span, before a lane sends it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

Scalar: TypeAlias = "str | bool | int | float"
AttributeValue: TypeAlias = "Scalar | Sequence[Scalar]"
Attributes: TypeAlias = "Mapping[str, AttributeValue]"

NONE: Attributes = MappingProxyType({})

INTERNAL, PRODUCER, CONSUMER = 1, 4, 5  # OTLP Span.SpanKind
UNSET, OK, ERROR = 0, 1, 2  # OTLP Status.StatusCode


class Event(NamedTuple):
    """Something that happened within a span."""

    name: str
    time_ns: int
    attributes: Attributes = NONE


class Link(NamedTuple):
    """A span in this or another trace that caused this one."""

    trace_id: int
    span_id: int
    trace_flags: int = 1
    trace_state: str = ""
    attributes: Attributes = NONE


class FinishedSpan(NamedTuple):
    """A span as both lanes take it; all instants are Unix nanoseconds.

    `notes` is a partial OTLP `Span` message, written by the pool process: what user code put on
    the task's current span. Its repeated fields are added, its status and name win.
    """

    name: str
    kind: int
    trace_id: int
    span_id: int
    parent_id: int  # 0: a root
    start_ns: int
    end_ns: int
    attributes: Attributes
    status: int = UNSET
    description: str = ""
    events: Sequence[Event] = ()
    links: Sequence[Link] = ()
    trace_state: str = ""
    parent_remote: bool = False
    notes: bytes = b""
