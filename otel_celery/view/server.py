"""How is the page served, in the foreground or beside something else?"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
import time
from types import TracebackType

import uvicorn

from otel_celery.errors import OtelCeleryError
from otel_celery.view.app import build_app
from otel_celery.view.store import Store

CONNECTIONS = 200
SHORTEST_TOKEN = 16


class ViewFault(OtelCeleryError):
    """The page cannot be served."""


class Server:
    """The page, its API and an OTLP/HTTP receiver on one port.

    Args:
        store: what is shown.
        host: an address of this machine. Anything but the loopback takes a token.
        port: 0: any free one.
        token: empty: a random one where one is needed.

    Raises:
        ViewFault: the address cannot be had, or the token is too easily guessed.
    """

    def __init__(
        self, store: Store, host: str = "127.0.0.1", port: int = 0, token: str = ""
    ) -> None:
        self._socket = listen(host, port)
        name, self.port = self._socket.getsockname()[:2]
        if not token and not ipaddress.ip_address(name).is_loopback:
            token = secrets.token_urlsafe()
        if token and len(token) < SHORTEST_TOKEN:
            self._socket.close()
            raise ViewFault(f"expected a token of at least {SHORTEST_TOKEN} characters")
        self.token = token
        self.host = host
        self._server = uvicorn.Server(
            uvicorn.Config(
                build_app(store, token),
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=2,
            )
        )
        self._thread = threading.Thread(target=self.run, name="otel-celery-view", daemon=True)

    @property
    def endpoint(self) -> str:
        """Where exporters send, and people look."""
        name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(
            self.host, self.host
        )
        return f"http://[{name}]:{self.port}" if ":" in name else f"http://{name}:{self.port}"

    def run(self) -> None:
        """Serve until the process is asked to stop."""
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Server:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound there.

    Raises:
        ViewFault: it cannot be.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as fault:
        raise ViewFault(
            f"cannot listen on {host}, port {port} ({fault.strerror or fault}): is a Collector "
            "or another view running there? --port takes another one, 0 any free one"
        ) from fault
