"""How does the body of an OTLP/HTTP request get into a store?

`/v1/traces` and `/v1/metrics` are taken as protobuf or JSON, plain or gzip; `/v1/logs` is answered
and forgotten.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_celery.view.store import Store

MAX_BODY = 16 * 1024 * 1024
PROTOBUF, JSON = "application/x-protobuf", "application/json"
ACCEPTED = {PROTOBUF: b"", JSON: b"{}"}
"""What is answered to a request that was taken, by its media type: an empty message."""
PATHS = ("/v1/traces", "/v1/metrics", "/v1/logs")
IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
UNREADABLE = (
    DecodeError, json_format.ParseError, ValueError, RecursionError,
    TypeError, AttributeError,  # of json_format, where a number stands for an object
)  # fmt: skip
Request = TypeVar("Request", bound=Message)


class Refused(Exception):
    """A request that is not OTLP as we take it; holds the HTTP status and what was expected."""

    def __init__(self, status: int, expected: str) -> None:
        super().__init__(expected)
        self.status = status


def take(store: Store, path: str, body: bytes, kind: str = PROTOBUF) -> None:
    """Decode one request by its path and put it into the store.

    Args:
        store: where it goes.
        path: one of PATHS.
        body: not compressed any more.
        kind: its media type, without parameters.

    Raises:
        Refused: not a path of OTLP, or not the message that belongs to it.
    """
    if kind not in (PROTOBUF, JSON):
        raise Refused(415, f"expected {PROTOBUF} or {JSON}, got {kind or 'no Content-Type'}")
    if path == "/v1/traces":
        store.add_traces(decode(ExportTraceServiceRequest(), body, kind))
    elif path == "/v1/metrics":
        store.add_metrics(decode(ExportMetricsServiceRequest(), body, kind))
    elif path not in PATHS:
        raise Refused(404, f"expected one of {', '.join(PATHS)}")


def decode(request: Request, body: bytes, kind: str) -> Request:
    """Fill a request from its body, and return it.

    Raises:
        Refused: the body is something else.
    """
    try:
        if kind == JSON:
            json_format.ParseDict(in_base64(json.loads(body)), request, ignore_unknown_fields=True)
        else:
            request.ParseFromString(body)
    except UNREADABLE as fault:
        raise Refused(400, f"expected an OTLP message: {fault}") from fault
    return request


def in_base64(told: Any) -> Any:
    """Return OTLP's JSON as protobuf reads JSON: ids are hexadecimal there, base64 here."""
    if isinstance(told, list):
        return [in_base64(item) for item in told]
    if not isinstance(told, dict):
        return told
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode()
        if key in IDS and isinstance(item, str)
        else in_base64(item)
        for key, item in told.items()
    }


def unpack(body: bytes, encoding: str) -> bytes:
    """Return the plain body, by its Content-Encoding.

    Raises:
        Refused: another encoding than gzip, or what `unzip` refuses.
    """
    if encoding not in ("", "identity", "gzip"):
        raise Refused(415, f"expected gzip or no encoding, got {encoding}")
    return unzip(body) if encoding == "gzip" else body


def unzip(body: bytes) -> bytes:
    """Return the plain body, never more than MAX_BODY of it.

    Raises:
        Refused: not gzip, or larger than that.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, MAX_BODY)
    except zlib.error as fault:
        raise Refused(400, f"expected gzip: {fault}") from fault
    if not unpacker.eof:
        raise Refused(413, f"expected at most {MAX_BODY} bytes when unpacked")
    return plain
