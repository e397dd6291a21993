"""What are a log record's bytes in OTLP?

As the SDK's handler and encoder write it, but for some things: the body is always text; long texts
and nested values are cut and credentials in URLs replaced; an exception is named with its module
and told in its own words; a stack that was asked for is told; what a value says of itself never
raises.

Source: opentelemetry-proto 1.x, `logs.proto`; semantic conventions 1.44, code and exceptions.
"""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from struct import Struct
from typing import NamedTuple, TypeVar

from otel_celery import conventions as c
from otel_celery.redaction import MESSAGE_LIMIT, STACKTRACE_LIMIT, cut, redacted
from otel_celery.values import ODD, count, encode_attributes, field, named, text_field, told

T = TypeVar("T")

BODY_LIMIT = 32 * 1024  # characters
_MOST_GIVEN = 123  # attributes, next to the five that each record has: 128 as the SDK
_DEEPEST = 25  # levels of nested values
_SEVERITY_TEXTS = {"WARNING": "WARN", "CRITICAL": "FATAL"}

# What `logging` puts on each record, what formatters and instrumentations leave there, and ours:
# all else was given in `extra`.
_NOT_EXTRA = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "asctime", "message", "taskName", "task_id", "task_name",
    "otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName",
    c.LOG_TRACE_ID, c.LOG_SPAN_ID, c.LOG_TASK_ID,
    c.TASK_NAME, c.CODE_FILE, c.CODE_FUNCTION, c.CODE_LINE,
}  # fmt: skip

_fixed64 = Struct("<Q").pack
_fixed32 = Struct("<I").pack


class Running(NamedTuple):
    """Where a record was made."""

    trace_id: int
    span_id: int
    flags: int
    task_id: str
    task_name: str


class LogLine(NamedTuple):
    """One record, encoded, on its way to the speaker."""

    data: bytes


def severity(level: int) -> int:
    """Return OpenTelemetry's number for a level of `logging`, 0 for one below DEBUG."""
    if level < logging.DEBUG:
        return 0
    return min(4 * (level // 10) + 1 + min(level % 10, 3), 24)


def encode_record(record: logging.LogRecord, where: Running, observed_ns: int) -> bytes:
    """Return a record with its scope, the logger, as a field of ResourceLogs."""
    given, dropped = encode_attributes(_given(record), b"\x32", _MOST_GIVEN)
    level = _SEVERITY_TEXTS.get(record.levelname, record.levelname)
    body = cut(redacted(_body(record)), BODY_LIMIT)
    message = b"".join(
        (
            b"\x09" + _fixed64(max(0, int(record.created * 1e9))),
            count(b"\x10", severity(record.levelno)),
            text_field(b"\x1a", str(level)),
            field(b"\x2a", text_field(b"\x0a", body) or b"\x0a\x00"),
            given,
            _place(record.pathname, record.funcName, record.lineno),
            _task(where.task_id, where.task_name),
            count(b"\x38", dropped),
            b"\x45" + _fixed32(where.flags) if where.flags else b"",
            b"\x4a\x10" + where.trace_id.to_bytes(16, "big") if where.trace_id else b"",
            b"\x52\x08" + where.span_id.to_bytes(8, "big") if where.span_id else b"",
            b"\x59" + _fixed64(observed_ns),
        )
    )
    return field(b"\x12", _scope(str(record.name)) + field(b"\x12", message))


@functools.lru_cache(256)
def _scope(logger: str) -> bytes:
    return field(b"\x0a", text_field(b"\x0a", logger))


@functools.lru_cache(1024)
def _place(path: str, function: str | None, line: int) -> bytes:
    """Return where a record was logged: a program has few such places, and comes by often."""
    place = {c.CODE_FILE: path, c.CODE_FUNCTION: function, c.CODE_LINE: line}
    return encode_attributes(place, b"\x32")[0]


@functools.lru_cache(64)
def _task(task_id: str, name: str) -> bytes:
    return encode_attributes({c.LOG_TASK_ID: task_id, c.TASK_NAME: name}, b"\x32")[0]


def _body(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except ODD:  # arguments that do not fit: `logging` complains of it on stderr
        return str(record.msg)


def _given(record: logging.LogRecord) -> Mapping[str, object]:
    found: dict[str, object] = {
        key: _shown(value) for key, value in record.__dict__.items() if key not in _NOT_EXTRA
    }
    if record.stack_info:
        found[c.CODE_STACK] = cut(redacted(record.stack_info), STACKTRACE_LIMIT, keep_end=True)
    if isinstance(record.exc_info, tuple):
        raised = record.exc_info[1]
        if raised is not None:
            found.update(_exception(raised))
    return found


def _shown(value: object) -> object:
    """Return what may leave of a value that was given."""
    if isinstance(value, str):
        return cut(redacted(value), MESSAGE_LIMIT)
    try:
        return _plain(value, [MESSAGE_LIMIT], 0)
    except ODD as fault:
        return f"<{type(value).__name__}: raised {type(fault).__name__}>"


def _plain(value: object, room: list[int], depth: int) -> object:
    """Return a value as numbers, texts, lists and dictionaries, redacted and within bounds.

    Args:
        value: anything.
        room: characters that are left; a value that is no text takes one, so that shared and
            endless values end.
        depth: of `value` in what was given.
    """
    room[0] -= 1
    if value is None or isinstance(value, (int, float, bytes)):
        return value
    if isinstance(value, str):
        return _fitted(value, room)
    if isinstance(value, (Sequence, Mapping)) and depth > _DEEPEST:
        return "…"
    if isinstance(value, Sequence):
        return [_plain(each, room, depth + 1) for each in _first(value, room, "…")]
    if isinstance(value, Mapping):
        pairs = _first(named(value).items(), room, ("…", "…"))
        return {_fitted(key, room): _plain(each, room, depth + 1) for key, each in pairs}
    text = told(value)
    return None if text is None else _fitted(text, room)


def _fitted(text: str, room: list[int]) -> str:
    text = cut(redacted(text), max(room[0], 1))
    room[0] -= len(text)
    return text


def _first(values: Iterable[T], room: list[int], more: T) -> Iterator[T]:
    """Yield values while there is room, and say that there were more."""
    for each in values:
        if room[0] <= 0:
            yield more
            return
        yield each


def _exception(raised: BaseException) -> Iterable[tuple[str, str]]:
    kind = type(raised)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    yield c.EXCEPTION_TYPE, f"{module}{kind.__qualname__}"
    try:
        message = str(raised)
    except ODD as fault:
        message = f"<{kind.__name__}: str() raised {type(fault).__name__}>"
    yield c.EXCEPTION_MESSAGE, cut(redacted(message), MESSAGE_LIMIT)
    if raised.__traceback__ is not None:
        with suppress(*ODD):
            stack = "".join(traceback.format_exception(raised))
            yield c.EXCEPTION_STACKTRACE, cut(redacted(stack), STACKTRACE_LIMIT, keep_end=True)


class LogEnvelope:
    """Who speaks: a resource around records, written once.

    Args:
        resource_attributes: of the process.
    """

    def __init__(self, resource_attributes: Mapping[str, object]) -> None:
        attributes, _ = encode_attributes(resource_attributes, b"\x0a")
        self._resource = field(b"\x0a", attributes)

    def request(self, records: Iterable[bytes]) -> bytes:
        """Return an ExportLogsServiceRequest with these records, as `encode_record` made them."""
        return field(b"\x0a", self._resource + b"".join(records))
