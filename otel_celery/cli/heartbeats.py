"""When were workers heard that do not speak for themselves?

Celery's workers tell each other every two seconds that they live; who listens may tell it on. Each
worker is an instance of its own here, as one that is instrumented is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from otel_celery import conventions as c
from otel_celery import sdk
from otel_celery.errors import ConfigError
from otel_celery.guard import Guard
from otel_celery.heartbeat import STALE
from otel_celery.queues.poller import broker_errors, give_up

_AGAIN = 5.0  # seconds between two attempts to listen
_LONGEST_STOP = 5.0  # seconds until the queue is taken back, or left to expire

Points = Iterable[tuple[float, Mapping[str, Any]]]


class Heartbeats:
    """Listens in a thread, and reports of each worker when it was last heard.

    Args:
        app: whose workers.
        nodenames: of those to listen for.
        service: `service.name` unless a variable gives one.
        guard: keeps faults.
        clock: Unix seconds.

    Raises:
        ConfigError: nothing is exported that could be many instances.
    """

    def __init__(
        self,
        app: Any,
        nodenames: Sequence[str],
        service: str,
        guard: Guard,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._clock, self._service = app, clock, service
        self._heard: dict[str, float] = {}
        self.meterings = [self._metering(name) for name in nodenames]
        """One for each worker; who has a courier collects them."""
        if not all(metering.pushed for metering in self.meterings):
            raise ConfigError("heartbeats need OTLP: a port of Prometheus is one instance")
        self._over = threading.Event()
        self._receiver: Any = None
        self._attempt = guard("heartbeats", self._listen)
        self._thread = threading.Thread(target=self._run, name="otel-celery-events", daemon=True)

    def _metering(self, name: str) -> sdk.Metering:
        host = name.partition("@")[2]
        of_worker = {c.WORKER_NAME: name, "host.name": host}
        metering = sdk.build_meter_provider(
            sdk.build_resource(name, self._service, **of_worker), serve=False
        )
        metering.instruments().observe(c.WORKER_HEARTBEAT, lambda: self._last(name))
        return metering

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._over.set()
        if self._receiver is not None:
            self._receiver.should_stop = True
        self._thread.join(_LONGEST_STOP)

    def on_event(self, event: Mapping[str, Any]) -> None:
        """A worker lives; by our clock, because its own may be wrong."""
        self._heard[str(event.get("hostname"))] = self._clock()

    def on_offline(self, event: Mapping[str, Any]) -> None:
        """A worker has stopped in order."""
        self._heard.pop(str(event.get("hostname")), None)

    def _last(self, name: str) -> Points:
        # One that was killed ceases to be, as does the series of one that is instrumented.
        heard = self._heard.get(name)
        if heard is not None and self._clock() - heard < STALE:
            yield heard, {}

    def _run(self) -> None:
        while not self._over.is_set():
            self._attempt()
            self._over.wait(_AGAIN)

    def _listen(self) -> None:
        """Listen until the connection is lost, or nobody was heard for a minute."""
        connection = self._app.connection_for_read()
        handlers = {
            "worker-heartbeat": self.on_event,
            "worker-online": self.on_event,
            "worker-offline": self.on_offline,
        }
        try:
            with connection:
                connection.ensure_connection(errback=give_up, reraise_as_library_errors=False)
                self._receiver = self._app.events.Receiver(
                    connection, handlers=handlers, routing_key="worker.#"
                )
                self._receiver.should_stop = self._over.is_set()
                self._receiver.capture(timeout=STALE, wakeup=False)
        except broker_errors(connection):
            return  # the queues' readings say that the broker is away
