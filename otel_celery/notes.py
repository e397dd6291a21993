"""What did user code put on a span, by the rules of the SDK's span?"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from time import time_ns
from typing import Any, NamedTuple, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from otel_celery import otlp, span
from otel_celery.values import ODD

_logger = logging.getLogger(__name__)


class Event(NamedTuple):
    """An event as user code finds it on the span."""

    name: str
    timestamp: int  # Unix nanoseconds
    attributes: BoundedAttributes


class Notes:
    """What was put on one span: copies, within its limits.

    Takes whatever it is given, for types are only hints; what cannot be kept counts as dropped.
    Its owner holds the lock.
    """

    __slots__ = (
        "_events_given",
        "_limits",
        "_links_given",
        "attributes",
        "events",
        "links",
        "name",
        "status",
    )

    def __init__(self, limits: otlp.Limits) -> None:
        self._limits = limits
        self._events_given = self._links_given = 0
        self.attributes = BoundedAttributes(
            limits.max_span_attributes,
            immutable=False,
            max_value_len=limits.max_span_attribute_length,
        )
        self.events: deque[Event] = deque(maxlen=limits.max_events)
        self.links: deque[Link] = deque(maxlen=limits.max_links)
        self.name: str | None = None
        self.status = Status()

    def set_attribute(self, key: Any, value: Any, reserved: frozenset[str]) -> None:
        try:
            if key not in reserved:
                self.attributes[key] = value
        except ODD:
            self.attributes.dropped += 1

    def set_attributes(self, attributes: Any, reserved: frozenset[str]) -> None:
        # Given together, keys that are no text are made text; given alone, they are dropped.
        given = copied(attributes, None, self._limits.max_span_attribute_length)
        self.attributes.dropped += given.dropped
        for key, value in given.items():
            self.set_attribute(key, value, reserved)

    def add_event(self, name: object, attributes: Any, timestamp: object) -> None:
        limits = self._limits
        copy = copied(attributes, limits.max_event_attributes, limits.max_attribute_length)
        if not isinstance(timestamp, int) or not 0 <= timestamp < 1 << 64:
            timestamp = time_ns()
        self.events.append(Event(said(name), timestamp, copy))
        self._events_given += 1

    def add_link(self, context: SpanContext, attributes: Any) -> None:
        if not _worth_linking(context, attributes):
            return
        limits = self._limits
        copy = copied(attributes, limits.max_link_attributes, limits.max_attribute_length)
        self.links.append(Link(context, copy))
        self._links_given += 1

    def set_status(self, status: Status | StatusCode, description: Any) -> None:
        """Take a status unless it says nothing or the span is already marked OK."""
        code = status.status_code if isinstance(status, Status) else status
        if (
            code not in (StatusCode.OK, StatusCode.ERROR)
            or self.status.status_code is StatusCode.OK
        ):
            return
        if isinstance(status, Status):
            if description is not None:
                _logger.warning("Description ignored: the Status has its own.")
            self.status = status
            return
        try:
            self.status = Status(code, description)
        except ODD:
            self.status = Status(code)

    def encode(self) -> bytes:
        """Return a partial OTLP Span message; joined to main's, its name and status win."""
        attributes, dropped = otlp.encode_attributes(self.attributes.copy())
        parts = [attributes]
        for name, timestamp, noted in self.events:
            event = span.Event(name, timestamp, cast("span.Attributes", noted))
            parts.append(otlp.encode_event(event, otlp.UNLIMITED, noted.dropped))
        for link in self.links:
            to, noted_on = link.context, cast("span.Attributes", link.attributes)
            cause = span.Link(to.trace_id, to.span_id, attributes=noted_on)
            gone = link.dropped_attributes
            parts.append(otlp.encode_link(cause, otlp.UNLIMITED, gone, to.is_remote))
        no_events = self._events_given - len(self.events)
        no_links = self._links_given - len(self.links)
        parts.append(
            otlp.encode_dropped(self.attributes.dropped + dropped, no_events, no_links),
        )
        if self.name is not None:
            parts.append(otlp.encode_name(self.name))
        if not self.status.is_unset:
            code, text = self.status.status_code.value, self.status.description or ""
            parts.append(otlp.encode_status(code, text, replace=True))
        return b"".join(parts)


def said(value: object) -> str:
    """Return a value as text, the name of its type where it cannot say."""
    try:
        return value if isinstance(value, str) else str(value)
    except ODD:
        return type(value).__qualname__


def copied(attributes: Any, most: int | None, longest: int | None) -> BoundedAttributes:
    """Return a copy by the SDK's rules; what cannot be copied counts as dropped."""
    try:
        return BoundedAttributes(most, attributes, max_value_len=longest)
    except ODD:
        copy = BoundedAttributes(most, immutable=False, max_value_len=longest)
    pairs: Mapping[Any, Any] = attributes if isinstance(attributes, Mapping) else {None: None}
    for key, value in pairs.items():
        try:
            copy[key] = value
        except ODD:
            copy.dropped += 1
    return copy


def _worth_linking(context: SpanContext, attributes: Any) -> bool:
    try:
        context.trace_id.to_bytes(16, "big")  # raises for what no link could carry
        context.span_id.to_bytes(8, "big")
        return bool(context.is_valid or attributes or context.trace_state)
    except ODD:
        return False
