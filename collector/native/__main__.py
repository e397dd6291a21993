"""The stack without Docker: `make stack`.

Runs the services of docker-compose.yml with the same files as processes of this machine, on the
same ports of the loopback, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
from pathlib import Path

from collector.native.stack import NATIVE, Stack, unavailable

LOST = {
    "redis": "the shop, which needs a broker",
    "collector": "everything behind it",
    "prometheus": "metrics, alerts, and the graphs of Jaeger",
    "alertmanager": "who is told of an alert",
    "jaeger": "traces",
    "bugsink": "errors",
}
NEEDED = ("redis", "collector")
PAGES = (
    ("the shop", "web", 8080, "POST /orders/basket"),
    ("OTLP over HTTP", "collector", 4318, "for workers of yours"),
    ("Prometheus", "prometheus", 9090, "/api/v1/query?query=celery:workers_online"),
    ("alerts", "alertmanager", 9093, "/api/v2/alerts"),
    ("traces", "jaeger", 16686, "/api/traces?service=shop-worker"),
)
NOT_HERE = """\
Not here: Grafana, which no package registry has. The web pages of Prometheus and Jaeger are not
part of what Go builds; their APIs are. With Docker, all of them are there."""


def main() -> int:
    """Run the stack and return the exit status."""
    options = argparse.ArgumentParser(prog="make stack", description=__doc__)
    options.add_argument("--seconds", type=float, help="stop by itself after this time")
    seconds = options.parse_args().seconds
    missing = unavailable()
    for name, why in missing.items():
        print(f"without {name} ({LOST[name]}): {why}", file=sys.stderr)
    if any(name in missing for name in NEEDED):
        return 1
    closing = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, lambda *_: closing.set())
    with tempfile.TemporaryDirectory(prefix="otel-celery-stack-") as folder:
        names = [name for name in NATIVE if name not in missing]
        try:
            with Stack(Path(folder), names, fixed=True) as stack:
                print(describe(stack), flush=True)
                while not closing.wait(1.0 if seconds is None else min(seconds, 1.0)):
                    stack.check()
                    if seconds is not None and (seconds := seconds - 1.0) <= 0:
                        break
                print("stopping", flush=True)
        except RuntimeError as why:  # of ours, or Bugsink's
            print(why, file=sys.stderr)
            return 1
    return 0


def describe(stack: Stack) -> str:
    """Return where everything is."""
    rows = [
        (what, stack.url(name, port), hint)
        for what, name, port, hint in PAGES
        if name in stack.names
    ]
    if "bugsink" in stack.names:
        rows.append(("errors", stack.errors.url, "log in as dev@example.test, devpass"))
    lines = [f"  {what:<16}{url:<26}{hint}" for what, url, hint in rows]
    return "\n".join(["The stack runs. Ctrl-C ends it.", "", *lines, "", NOT_HERE])


if __name__ == "__main__":
    sys.exit(main())
