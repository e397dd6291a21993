"""What are a span's bytes in OTLP?

The same protobuf messages as the SDK's own limits and encoder give, with two differences: text that
is no valid Unicode is mended, where the stock encoder loses the whole batch, and nothing raises.

Source: opentelemetry-proto 1.x, `trace.proto` and `common.proto`; opentelemetry-sdk 1.45.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from struct import Struct
from typing import NamedTuple

from otel_celery.span import ERROR, Event, FinishedSpan, Link
from otel_celery.values import clean, count, encode_attributes, field, text_field

__all__ = [
    "DEFAULT",
    "UNLIMITED",
    "Envelope",
    "Limits",
    "clean",
    "encode_attributes",
    "encode_dropped",
    "encode_event",
    "encode_link",
    "encode_name",
    "encode_span",
    "encode_status",
]


class Limits(NamedTuple):
    """How much one span may carry; None is no limit. Names and defaults of the SDK's SpanLimits."""

    max_span_attributes: int | None = 128
    max_span_attribute_length: int | None = None
    max_events: int | None = 128
    max_links: int | None = 128
    max_event_attributes: int | None = 128
    max_link_attributes: int | None = 128
    max_attribute_length: int | None = None  # of events and links


DEFAULT = Limits()
UNLIMITED = Limits(None, None, None, None, None, None, None)

_fixed64 = Struct("<Q").pack


def _ids(trace_id: int, span_id: int) -> bytes:
    return b"\x0a\x10%b\x12\x08%b" % (trace_id.to_bytes(16, "big"), span_id.to_bytes(8, "big"))


def _flags(tag: bytes, remote: bool) -> bytes:
    # SpanFlags HAS_IS_REMOTE 0x100, IS_REMOTE 0x200; the SDK writes no W3C flags.
    return tag + (b"\x00\x03\x00\x00" if remote else b"\x00\x01\x00\x00")


def encode_event(event: Event, limits: Limits = DEFAULT, dropped: int = 0) -> bytes:
    """Return an event as a field of Span; `dropped` attributes are already gone."""
    attributes, more = encode_attributes(
        event.attributes, b"\x1a", limits.max_event_attributes, limits.max_attribute_length
    )
    head = b"\x09" + _fixed64(event.time_ns) + text_field(b"\x12", event.name)
    return field(b"\x5a", head + attributes + count(b"\x20", dropped + more))


def encode_link(
    link: Link, limits: Limits = DEFAULT, dropped: int = 0, remote: bool = True
) -> bytes:
    """Return a link as a field of Span.

    Like the SDK's, without trace state. `remote` unless told otherwise, for messages come from
    another process.
    """
    attributes, more = encode_attributes(
        link.attributes, b"\x22", limits.max_link_attributes, limits.max_attribute_length
    )
    ids = _ids(link.trace_id, link.span_id)
    tail = count(b"\x28", dropped + more) + _flags(b"\x35", remote)
    return field(b"\x6a", ids + attributes + tail)


def encode_status(status: int, description: str = "", replace: bool = False) -> bytes:
    """Return the status as a field of Span; only an error has a description.

    `replace` writes an empty description too, which takes away that of a message joined before.
    """
    text = description if status == ERROR else ""
    message = text_field(b"\x12", text) or (b"\x12\x00" if replace else b"")
    return field(b"\x7a", message + count(b"\x18", status))


def encode_dropped(attributes: int, events: int, links: int) -> bytes:
    """Return the three counts of what a Span left out."""
    return count(b"\x50", attributes) + count(b"\x60", events) + count(b"\x70", links)


def encode_name(name: str) -> bytes:
    """Return the name as a field of Span, written even if empty, so that it replaces another."""
    return text_field(b"\x2a", name) or b"\x2a\x00"


def _over(items: Sequence[object], most: int | None) -> int:
    return 0 if most is None else max(0, len(items) - most)


def encode_span(span: FinishedSpan, limits: Limits = DEFAULT) -> bytes:
    """Return the OTLP Span message of a span, what user code noted on it included."""
    attributes, no_attributes = encode_attributes(
        span.attributes, b"\x4a", limits.max_span_attributes, limits.max_span_attribute_length
    )
    parts = [
        _ids(span.trace_id, span.span_id),
        text_field(b"\x1a", span.trace_state),
        b"\x22\x08" + span.parent_id.to_bytes(8, "big") if span.parent_id else b"",
        text_field(b"\x2a", span.name),
        b"\x30%c\x39%b\x41%b" % (span.kind, _fixed64(span.start_ns), _fixed64(span.end_ns)),
        attributes,
        count(b"\x50", no_attributes),
    ]
    if span.events:
        no_events = _over(span.events, limits.max_events)
        parts += [encode_event(event, limits) for event in span.events[no_events:]]
        parts.append(count(b"\x60", no_events))
    if span.links:
        links = [link for link in span.links if _says_something(link)]
        no_links = _over(links, limits.max_links)
        parts += [encode_link(link, limits) for link in links[no_links:]]
        parts.append(count(b"\x70", no_links))
    parts.append(encode_status(span.status, span.description))
    parts.append(_flags(b"\x85\x01", span.parent_remote))
    parts.append(span.notes)
    return b"".join(parts)


def _says_something(link: Link) -> bool:
    return bool((link.trace_id and link.span_id) or link.attributes or link.trace_state)


class Envelope:
    """Who speaks: resource and scope around spans, written once.

    Requests of one kind join by concatenation: the result is a valid request again.

    Args:
        resource_attributes: of the process, without limits.
        scope_name: name of the tracer.
        scope_version: its version, empty if it has none.
        schema_url: of the tracer's scope.
    """

    __slots__ = ("_resource", "_schema", "_scope")

    def __init__(
        self,
        resource_attributes: Mapping[str, object],
        scope_name: str,
        scope_version: str,
        schema_url: str = "",
    ) -> None:
        resource, _ = encode_attributes(resource_attributes, b"\x0a")
        self._resource = field(b"\x0a", resource)
        self._scope = field(
            b"\x0a", text_field(b"\x0a", scope_name) + text_field(b"\x12", scope_version)
        )
        self._schema = text_field(b"\x1a", schema_url)

    def request(self, spans: Iterable[bytes]) -> bytes:
        """Return an ExportTraceServiceRequest with these Span messages."""
        body = b"".join([field(b"\x12", span) for span in spans])
        return field(b"\x0a", self._resource + field(b"\x12", self._scope + body + self._schema))
