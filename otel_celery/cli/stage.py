"""Which programs make up the demo's shop, and with which variables?"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from otel_celery.cli.broker import HOST, Broker
from otel_celery.cli.processes import Program
from otel_celery.errors import OtelCeleryError

PACKAGE = Path(__file__).parents[1]
LOCAL = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_CELERY_QUEUE_INTERVAL": "1",
    "NO_PROXY": HOST,
    "no_proxy": HOST,
}
"""Variables for a receiver on this machine, which can take a reading every second."""


class DemoFault(OtelCeleryError):
    """The demo cannot go on."""


def find_shop() -> Path:
    """Return the folder of the example: in a checkout beside the package, else in the wheel.

    Raises:
        DemoFault: neither is there.
    """
    for folder in (PACKAGE.parent / "examples" / "shop", PACKAGE / "cli" / "shop"):
        if (folder / "shop.py").is_file():
            return folder
    raise DemoFault("the example shop is not installed: pip install --force-reinstall otel-celery")


def build_environ(environ: Mapping[str, str], broker: Broker, shop: Path) -> dict[str, str]:
    """Return the variables that all programs share, whoever takes their telemetry."""
    paths = [str(shop), environ.get("PYTHONPATH", "")]
    if shop.parts[-2] == "examples":  # a checkout need not be installed
        paths.insert(1, str(PACKAGE.parent))
    path = os.pathsep.join(filter(None, paths))
    return {**environ, **broker.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def send_here(environ: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """Return the variables that lead to our receiver, whatever the person has set for theirs."""
    ours = ("OTEL_", "SENTRY_")
    kept = {name: value for name, value in environ.items() if not name.startswith(ours)}
    return {**kept, **LOCAL, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}


def send_there(environ: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """Return the variables that lead to a Collector, the person's own settings kept."""
    return {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        **environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
    }


class Stage:
    """Starts the shop's programs, each under a service name of its own."""

    def __init__(self, folder: Path, environ: Mapping[str, str], broker: Broker) -> None:
        self._folder = folder
        self._environ = environ
        self._broker = broker

    def worker(self) -> Program:
        options = ["--concurrency", "4", "--queues", "orders,documents", "--without-mingle"]
        options += ["--hostname", "shop@%h", *self._broker.worker_options]
        return self._celery("worker", " ready.", *options)

    def beat(self) -> Program:
        schedule = str(self._folder / "schedule")
        return self._celery("beat", "beat: Starting", "--schedule", schedule, "--pidfile=")

    def web(self) -> Program:
        return self._start("shop-web", "The shop is open", "web")

    def _celery(self, command: str, ready_word: str, *options: str) -> Program:
        arguments = ["celery", "-A", "shop", command, "--loglevel", "INFO", *options]
        return self._start(f"shop-{command}", ready_word, *arguments)

    def _start(self, service: str, ready_word: str, *module: str) -> Program:
        # TMPDIR: what a program leaves behind when it is killed goes with our folder.
        own = {"OTEL_SERVICE_NAME": service, "TMPDIR": str(self._folder)}
        command = [sys.executable, "-m", *module]
        return Program(service, command, self._folder, {**self._environ, **own}, ready_word)
