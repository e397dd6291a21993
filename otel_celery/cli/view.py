"""What does `otel-celery view` serve, and what does it tell a person to do first?"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from otel_celery.errors import MissingExtra
from otel_celery.view.store import Store

if TYPE_CHECKING:
    from otel_celery.view.server import Server

OK = 0


def run_view(host: str, port: int, token: str) -> int:
    """Serve the page until Ctrl-C, and return the exit status.

    Raises:
        OtelCeleryError: the extra is missing, or the address cannot be had.
    """
    store = Store()
    server = load_server()(store, host, port, token)
    print(greeting(server.endpoint, server.token, store), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return OK


def load_server() -> type[Server]:
    """Return what serves the page.

    Raises:
        MissingExtra: what it needs is not installed.
    """
    try:
        from otel_celery.view.server import Server
    except ImportError as fault:
        raise MissingExtra(
            f"the page needs what is not installed ({fault.name}): pip install 'otel-celery[view]'"
        ) from fault
    return Server


def greeting(endpoint: str, token: str, store: Store) -> str:
    """Return where the page is, and how programs find it."""
    lines = ["", f"  Open {endpoint}"]
    if token:
        lines += [f"  Token: {token}", "  (shown here only)"]
    lines += [
        "",
        "  Then, where publishers, workers and beat start:",
        "",
        f"    export OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}",
        "    export OTEL_METRIC_EXPORT_INTERVAL=1000 OTEL_CELERY_QUEUE_INTERVAL=1",
    ]
    if token:
        bearer = quote(f"Bearer {token}")
        lines.append(f"    export OTEL_EXPORTER_OTLP_HEADERS=Authorization={bearer}")
    lines += [
        "",
        f"  In memory only: the last {store.limits.traces:,} traces. Ctrl-C ends it, and forgets.",
        "",
    ]
    return "\n".join(lines)
