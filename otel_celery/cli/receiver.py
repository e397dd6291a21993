"""How does OTLP over HTTP get into a store, without a Collector?"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from otel_celery.view.intake import ACCEPTED, MAX_BODY, Refused, take, unpack
from otel_celery.view.store import Store

HOST = "127.0.0.1"


class Receiver:
    """An OTLP/HTTP endpoint on the loopback that fills a store while the block lasts.

    What it takes, `otel_celery.view.intake` says.
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
            kind = self.headers.get_content_type()
            take(self.store, self.path, self._body(), kind)
        except Refused as refused:
            self.close_connection = True
            self._answer(refused.status, str(refused).encode(), "text/plain")
        else:
            self._answer(200, ACCEPTED[kind], kind)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(411, "expected a Content-Length")
        if int(length) > MAX_BODY:
            raise Refused(413, f"expected at most {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        return unpack(body, self.headers.get("Content-Encoding", ""))

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the screen."""
