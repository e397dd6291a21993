"""What does user code put on the task's current span?

The span belongs to the worker's main process, which begins, ends and exports it. This one stands in
for it in the task body: it keeps what it is given by the rules of the SDK's span, and tells it as
notes for main.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import RLock
from types import MappingProxyType, TracebackType

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from otel_celery import otlp
from otel_celery.notes import Event, Notes, said
from otel_celery.redaction import redacted
from otel_celery.values import ODD

_logger = logging.getLogger(__name__)


class TaskSpan(trace.Span):
    """The task's span, as `trace.get_current_span()` gives it in the task body.

    Its context says `is_remote`, so that a span that user code begins counts as local root. Unlike
    the SDK's span it takes odd names, values and timestamps without raising.

    Args:
        traceparent: valid, `00-<32 hex>-<16 hex>-<02 hex>`; when unsampled, nothing is kept.
        tracestate: header of that name.
        limits: of what user code puts on the span; what main puts there is not counted.
        reserved: attributes that main writes; user code cannot.
        name: of the span, until user code gives it another.
    """

    _ended = False
    _context: SpanContext | None = None
    _notes: Notes | None = None

    def __init__(
        self,
        traceparent: str,
        tracestate: str = "",
        limits: otlp.Limits = otlp.DEFAULT,
        reserved: frozenset[str] = frozenset(),
        name: str = "",
    ) -> None:
        self._traceparent = traceparent
        self._tracestate = tracestate
        self._limits = limits
        self._reserved = reserved
        self._name = name
        self._lock = RLock()  # a signal handler may come in the middle of a call with its own

    def get_span_context(self) -> SpanContext:
        if self._context is None:
            _, trace_id, span_id, flags = self._traceparent.split("-")
            self._context = SpanContext(
                int(trace_id, 16),
                int(span_id, 16),
                is_remote=True,
                trace_flags=trace.TraceFlags(int(flags, 16)),
                trace_state=trace.TraceState.from_header([self._tracestate]),
            )
        return self._context

    def is_recording(self) -> bool:
        return not self._ended and self._traceparent[-1] in "13579bdf"

    def _open(self, call: str) -> Notes | None:
        """Return where `call` may write, None when it may not; the lock is held."""
        if not self.is_recording():
            if self._ended:
                _logger.warning("Tried calling %s on an ended span.", call)
            return None
        if self._notes is None:
            self._notes = Notes(self._limits)
        return self._notes

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        with self._lock:
            if notes := self._open("set_attribute"):
                notes.set_attribute(key, value, self._reserved)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        with self._lock:
            if notes := self._open("set_attributes"):
                notes.set_attributes(attributes, self._reserved)

    def add_event(
        self, name: str, attributes: Attributes = None, timestamp: int | None = None
    ) -> None:
        with self._lock:
            if notes := self._open("add_event"):
                notes.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        with self._lock:
            if notes := self._open("add_link"):
                notes.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        with self._lock:
            if notes := self._open("update_name"):
                notes.name = said(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        with self._lock:
            if notes := self._open("set_status"):
                notes.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        if not self.is_recording():
            self.add_event("exception")  # warns where it should, keeps nothing
            return
        kind = type(exception)
        module = "" if kind.__module__ == "builtins" else kind.__module__
        try:
            stack = "".join(traceback.format_exception(exception))
        except ODD:
            stack = ""
        noted: dict[str, AttributeValue] = {
            "exception.type": f"{module}.{kind.__qualname__}" if module else kind.__qualname__,
            "exception.message": redacted(said(exception)),
            "exception.stacktrace": redacted(stack),
            "exception.escaped": said(escaped),
        }
        with suppress(*ODD):
            noted.update(attributes or {})
        self.add_event("exception", noted, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Take nothing more; when the task ends is for main to say."""
        with self._lock:
            if self._ended:
                _logger.warning("Calling end() on an ended span.")
            self._ended = True

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_val is not None and self.is_recording():
            self.record_exception(exc_val, escaped=True)
            told = f"{type(exc_val).__name__}: {redacted(said(exc_val))}"
            self.set_status(Status(StatusCode.ERROR, told))
        super().__exit__(exc_type, exc_val, exc_tb)

    def notes(self) -> bytes:
        """Return what user code put here as a partial OTLP Span message, empty if nothing."""
        if self._notes is None:
            return b""
        with self._lock:
            return self._notes.encode()

    @property
    def context(self) -> SpanContext:
        return self.get_span_context()

    @property
    def kind(self) -> SpanKind:
        return SpanKind.CONSUMER

    @property
    def name(self) -> str:
        renamed = self._notes.name if self._notes else None
        return self._name if renamed is None else renamed

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        with self._lock:
            return MappingProxyType(self._notes.attributes.copy() if self._notes else {})

    @property
    def events(self) -> Sequence[Event]:
        with self._lock:
            return tuple(self._notes.events) if self._notes else ()

    @property
    def links(self) -> Sequence[Link]:
        with self._lock:
            return tuple(self._notes.links) if self._notes else ()

    @property
    def status(self) -> Status:
        return self._notes.status if self._notes else Status()
