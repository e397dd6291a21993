"""How does OTLP over HTTP get into a store, without a Collector?"""

from __future__ import annotations

import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_celery.cli.store import Store

HOST = "127.0.0.1"
MAX_BODY = 64 * 1024 * 1024
PROTOBUF = "application/x-protobuf"


class Refused(Exception):
    """A request that is not OTLP as we take it; holds the HTTP status and what was expected."""

    def __init__(self, status: int, expected: str) -> None:
        super().__init__(expected)
        self.status = status


class Receiver:
    """An OTLP/HTTP endpoint on the loopback that fills a store while the block lasts.

    It takes `/v1/traces` and `/v1/metrics` in protobuf, plain or gzip; `/v1/logs` is answered
    and forgotten.
    """

    def __init__(self, store: Store, port: int = 0) -> None:
        class Handler(OtlpHandler):
            pass

        Handler.store = store
        self._server = ThreadingHTTPServer((HOST, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="otel-celery-receiver",
            daemon=True,
        )

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class OtlpHandler(BaseHTTPRequestHandler):
    """One exporter's connection."""

    store: Store
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        try:
            take(self.store, self.path, self._body())
        except Refused as refused:
            self.close_connection = True
            self._answer(refused.status, str(refused).encode(), "text/plain")
        else:
            self._answer(200, b"", PROTOBUF)  # an empty message: all was accepted

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(411, "expected a Content-Length")
        if int(length) > MAX_BODY:
            raise Refused(413, f"expected at most {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        kind = self.headers.get_content_type()
        if kind != PROTOBUF:
            raise Refused(415, f"expected {PROTOBUF}, got {kind}")
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding not in ("identity", "gzip"):
            raise Refused(415, f"expected gzip or no encoding, got {encoding}")
        return unzip(body) if encoding == "gzip" else body

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the screen."""


def take(store: Store, path: str, body: bytes) -> None:
    """Decode one request by its path and put it into the store.

    Raises:
        Refused: not a path of OTLP, or not the message that belongs to it.
    """
    try:
        if path == "/v1/traces":
            store.add_traces(ExportTraceServiceRequest.FromString(body))
        elif path == "/v1/metrics":
            store.add_metrics(ExportMetricsServiceRequest.FromString(body))
        elif path != "/v1/logs":
            raise Refused(404, "expected /v1/traces, /v1/metrics or /v1/logs")
    except DecodeError as fault:
        raise Refused(400, f"expected an OTLP message: {fault}") from fault


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
