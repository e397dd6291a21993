"""Who takes what the sides send, without making them wait?

One HTTP server of this machine that says yes to everything; what came is counted afterwards.
"""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Request(NamedTuple):
    """What was sent, with the size that it had on the wire, and when: Unix time."""

    path: str
    headers: dict[str, str]
    raw: bytes
    at: float

    @property
    def body(self) -> bytes:
        encoding = self.headers.get("content-encoding", "")
        if encoding == "gzip":
            return gzip.decompress(self.raw)
        return zlib.decompress(self.raw) if encoding == "deflate" else self.raw


class Sink:
    """Keeps the requests of one measurement."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sent(self, *endings: str) -> int:
        """Return the bytes of bodies on the wire, of all paths or of those that end so."""
        return sum(
            len(one.raw) for one in self.requests if not endings or one.path.endswith(endings)
        )

    def otlp_spans(self, kind: int) -> int:
        """Return how many spans of a kind came as OTLP."""
        return sum(
            span.kind == kind
            for request in self.requests
            if request.path.endswith("/v1/traces")
            for by_resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
            for by_scope in by_resource.scope_spans
            for span in by_scope.spans
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _take(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("transfer-encoding") == "chunked":
            raw = b"".join(iter(self._chunk, b""))
        else:
            raw = self.rfile.read(int(headers.get("content-length") or 0))
        assert isinstance(self.server, _Server)
        self.server.sink.requests.append(Request(self.path, headers, raw, time.time()))
        answer = b"" if "/v1/" in self.path else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _take

    def _chunk(self) -> bytes:
        chunk = self.rfile.read(int(self.rfile.readline().split(b";")[0], 16))
        self.rfile.readline()
        return chunk

    def log_message(self, *_: object) -> None:
        """Be silent."""


@contextmanager
def sinking() -> Iterator[Sink]:
    sink = Sink()
    try:
        yield sink
    finally:
        sink.close()
