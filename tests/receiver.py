"""An OTLP/HTTP receiver within the test's own process, that answers as it is told."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOBUF = "application/x-protobuf"
WELL = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}


class Answer(NamedTuple):
    """What to say to one request."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    stall: bool = False  # say it only when the receiver is released
    reset: bool = False  # say nothing, reset the connection
    after: float = 0.0  # seconds that it thinks before
    raw: bytes = b""  # say these bytes in place of an answer, and hang up
    half: bool = False  # announce more of a body than there comes, and hang up
    endless: float | None = None  # a body of bytes for ever, with that many seconds between two

    @property
    def takes(self) -> bool:
        """Does it say that what was sent is the receiver's now?"""
        return 200 <= self.status < 300 and not (self.stall or self.reset or self.raw)


class Received(NamedTuple):
    """One request as it came, its headers by lower-case name."""

    path: str
    headers: Mapping[str, str]
    raw: bytes
    connection: int  # port of the other side: the same for requests on one connection
    answer: Answer = Answer()
    at: float = 0.0  # monotonic

    @property
    def body(self) -> bytes:
        """The message, decompressed."""
        encoding = self.headers.get("content-encoding", "")
        if encoding == "gzip":
            return gzip.decompress(self.raw)
        return zlib.decompress(self.raw) if encoding == "deflate" else self.raw


def partial_success(rejected: int) -> Answer:
    """Say that a number of spans were not taken."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = "too old"
    return Answer(headers={"Content-Type": PROTOBUF}, body=response.SerializeToString())


class Receiver:
    """Keeps what it was sent; `answers` are used up one by one, then comes the usual one.

    Args:
        port: where it listens.
        tls: how, where it speaks HTTPS.
    """

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.first_bytes: list[bytes] = []
        """What each connection began with, if it speaks HTTPS: 0x16 is a TLS handshake."""
        self.answers: deque[Answer] = deque()
        self.usual: Callable[[str], Answer] = self.well
        """The answer to a request for a path."""
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                receiver._connections.add(self.connection)

            def finish(self) -> None:
                receiver._connections.discard(self.connection)
                super().finish()

            def do_POST(self) -> None:
                receiver._answer(self)

            do_PUT = do_POST  # as others speak to their agents

            def log_message(self, *said: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *about: object) -> None:
                """A client that went away is part of the test."""

            def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
                end, address = super().get_request()
                if tls is not None:
                    receiver.first_bytes.append(end.recv(1, socket.MSG_PEEK))
                    end = tls.wrap_socket(end, server_side=True, do_handshake_on_connect=False)
                return end, address

        self._scheme = "http" if tls is None else "https"
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._connections: set[socket.socket] = set()
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def traces(self) -> list[ExportTraceServiceRequest]:
        return [
            ExportTraceServiceRequest.FromString(request.body)
            for request in list(self.received)
            if request.path.endswith("/v1/traces")
        ]

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.traces
            for by_resource in request.resource_spans
            for by_scope in by_resource.scope_spans
            for span in by_scope.spans
        ]

    @property
    def metrics(self) -> list[ExportMetricsServiceRequest]:
        return [
            ExportMetricsServiceRequest.FromString(request.body)
            for request in list(self.received)
            if request.path.endswith("/v1/metrics")
        ]

    @property
    def logs(self) -> list[ExportLogsServiceRequest]:
        return [
            ExportLogsServiceRequest.FromString(request.body)
            for request in list(self.received)
            if request.path.endswith("/v1/logs")
        ]

    @property
    def taken(self) -> list[Span]:
        """The spans of the requests that it said it took."""
        return [
            span
            for request in list(self.received)
            if request.path.endswith("/v1/traces") and request.answer.takes
            for by_resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
            for by_scope in by_resource.scope_spans
            for span in by_scope.spans
        ]

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS to who connects from now on; each handshake is in its connection's thread."""
        listening = self._server.socket
        self._server.socket = context.wrap_socket(
            listening, server_side=True, do_handshake_on_connect=False
        )

    def close(self) -> None:
        """Be gone, as a process that has ended: kept connections are too."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        raw = handler.rfile.read(length)
        if len(raw) < length:  # the process that was sending has ended
            handler.close_connection = True
            return
        headers = {name.lower(): value for name, value in handler.headers.items()}
        answer = self.answers.popleft() if self.answers else self.usual(handler.path)
        came_from = handler.client_address[1]
        self.received.append(
            Received(handler.path, headers, raw, came_from, answer, time.monotonic())
        )
        if answer.after:
            self.released.wait(answer.after)
        if answer.stall:
            self.released.wait(30)
        if answer.reset:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.close_connection = True
            handler.connection.close()
            return
        if answer.raw:
            handler.close_connection = True
            handler.wfile.write(answer.raw)
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        odd = answer.half or answer.endless is not None
        handler.send_header("Content-Length", str((1 << 40) if odd else len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)
        handler.close_connection = handler.close_connection or odd
        while answer.endless is not None and not self.released.wait(answer.endless):
            handler.wfile.write(bytes(1 if answer.endless else 1 << 16))

    @staticmethod
    def well(path: str) -> Answer:
        """Say that all of it was taken."""
        well = next((kind for name, kind in WELL.items() if path.endswith(name)), WELL["traces"])
        return Answer(headers={"Content-Type": PROTOBUF}, body=well().SerializeToString())


@contextmanager
def receiving(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver on this machine, on a free port unless told."""
    receiver = Receiver(port, tls)
    try:
        yield receiver
    finally:
        receiver.close()
