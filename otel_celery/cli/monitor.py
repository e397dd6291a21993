"""Who reads the queues where no worker does?"""

from __future__ import annotations

import signal
import sys
import threading
import uuid
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otel_celery import sdk
from otel_celery.cli.apps import AppFault, find
from otel_celery.cli.heartbeats import Heartbeats
from otel_celery.errors import ConfigError
from otel_celery.exporter import Exporter
from otel_celery.guard import Guard
from otel_celery.queue_metrics import QueueMetrics
from otel_celery.queues import built_in_readers
from otel_celery.queues.naming import transport_name
from otel_celery.settings import Settings


def run_monitor(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Read and export until SIGTERM or Ctrl-C; a second one ends it without the last export.

    Raises:
        OtelCeleryError: the app cannot be had, its broker not be read, or nothing exported.
    """
    over = threading.Event()

    def end(number: int, _: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        over.set()

    earlier = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        app = find(arguments.app, arguments.broker, arguments.queue)
        settings = settings_of(arguments, environ)
        monitor = Monitor(app, settings, Said(sys.stderr.write), arguments.heartbeat)
        monitor.start()
        over.wait()
        monitor.stop()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    return 0


def settings_of(arguments: Namespace, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a worker, but that the interval of workers may be 0, ours not."""
    chosen = Settings.from_env(environ, queue_interval=arguments.interval)
    return Settings.from_env(
        environ,
        queue_interval=chosen.queue_interval or Settings().queue_interval,
        queues=[*chosen.queues, *arguments.queue],
    )


class Monitor:
    """Reads the queues of one broker as a worker does, and exports what they say.

    Several may run: each is an instance of its own, and they say the same of a queue.

    Args:
        app: whose broker, and whose queues.
        settings: interval, further queues, time for the last export.
        on_probe: told of each round.
        heartbeats: nodenames of workers to listen for.

    Raises:
        OtelCeleryError: its broker cannot be read, or nothing exported.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        on_probe: Callable[[float, str | None, str], None],
        heartbeats: Sequence[str] = (),
    ) -> None:
        if sdk.sdk_disabled():
            raise ConfigError("OTEL_SDK_DISABLED is true: nothing would be exported")
        sdk.check_environment()
        transport = transport_name(app.connection_for_read())
        if not any(transport in reader.transports for reader in built_in_readers()):
            raise AppFault(f"queues of a broker that is reached by {transport} cannot be read")
        guard, service = Guard(), app.main or "celery"
        self._exporter = Exporter(settings, guard, str(uuid.uuid4()), service, {}, serve=True)
        self._queues = QueueMetrics(app, settings, self._exporter.instruments, on_probe=on_probe)
        self._heartbeats = Heartbeats(app, heartbeats, service, guard) if heartbeats else None

    def start(self) -> None:
        """Read and export from now on, in threads."""
        self._queues.observe()
        self._exporter.rounds.every(self._queues.interval, self._queues.poll)
        if self._heartbeats is not None:
            for worker in self._heartbeats.meterings:
                self._exporter.rounds.every(worker.interval, worker.collect)
            self._heartbeats.start()
        self._exporter.start()

    def stop(self) -> None:
        """Export what was read last, if that is still true."""
        self._exporter.stop()
        if self._heartbeats is not None:
            self._heartbeats.stop()
        self._queues.close()


class Said:
    """A line for people each time that the broker begins or ceases to answer."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write, self._last = write, ""

    def __call__(self, seconds: float, error_type: str | None, system: str) -> None:
        line = f"{system} does not answer: {error_type}" if error_type else f"reads {system}"
        if line != self._last:
            self._write(f"otel-celery monitor: {line}\n")
        self._last = line
