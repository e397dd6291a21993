"""When are the queues read, over which connection, and how long is a reading true?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kombu.exceptions import KombuError

from otel_celery.queues.amqp import AmqpReader
from otel_celery.queues.generic import (
    FilesystemReader,
    MemoryReader,
    SqlAlchemyReader,
    SqsReader,
)
from otel_celery.queues.naming import messaging_system, transport_name
from otel_celery.queues.reading import QueueReader, Reading
from otel_celery.queues.redis import RedisReader

OnProbe = Callable[[float, str | None, str], None]
"""Told of each round: seconds it took, class of the error that ended it, messaging system."""

_JITTER = 0.1  # of the interval, either way: workers that started together drift apart
_SLACK = 0.25  # of the interval: how much later than due a round may be, its jitter included


def built_in_readers(clock: Callable[[], float] = time.time) -> list[QueueReader]:
    """Return a reader for each broker that we can read.

    Args:
        clock: Unix seconds.
    """
    return [
        RedisReader(clock),
        AmqpReader(),
        SqlAlchemyReader(clock),
        FilesystemReader(clock),
        SqsReader(),
        MemoryReader(),
    ]


class QueuePoller:
    """Reads the queues of one app now and then; for one thread, which may wait for a broker.

    Args:
        app: its broker is read over a connection of our own.
        readers: the first that knows the transport is taken; before ours, those of users.
        queues: names to read besides the app's own.
        interval: seconds between two rounds; 0 is never.
        timeout: seconds that a connect or one answer of the broker may take.
        should_read: whether it falls to this process to read, where several could.
        on_probe: told of each round.
        clock: monotonic seconds; that of `poll`, too.
    """

    def __init__(
        self,
        app: Any,
        readers: Sequence[QueueReader],
        queues: Iterable[str],
        interval: float,
        timeout: float = 1.0,
        *,
        should_read: Callable[[], bool] = lambda: True,
        on_probe: OnProbe = lambda seconds, error_type, system: None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._app = app
        self._readers = readers
        self._queues = tuple(queues)
        self._interval = interval
        self._timeout = timeout
        self._should_read = should_read
        self._on_probe = on_probe
        self._clock = clock
        self._jitter = jitter
        self._due_at = -float("inf")
        self._connection: Any = None
        self._reader: QueueReader | None = None
        self._channel: Any = None
        self._latest: tuple[float, Sequence[Reading]] = (-float("inf"), ())
        self.system = ""
        """`messaging.system` of the broker, from the first round on."""

    def poll(self, now: float, consumed: Iterable[str] = ()) -> None:
        """Read all queues if a round is due.

        A round that fails leaves no readings, and its connection is not used again.

        Args:
            now: monotonic seconds.
            consumed: names of queues that this worker consumes now.
        """
        if self._interval <= 0 or now < self._due_at:
            return
        self._due_at = now + self._interval * (1 + _JITTER * (2 * self._jitter() - 1))
        self._latest = (now, ())
        if not self._should_read():
            self.close()
            return
        connection, reader = self._broker()
        if reader is None:
            return
        failed: str | None = "_OTHER"  # what is not caught here is the caller's to report
        started = self._clock()
        try:
            if self._channel is None:
                connection.ensure_connection(errback=give_up, reraise_as_library_errors=False)
                self._channel = connection.channel()
            self._latest = (now, reader.read(self._channel, self._names(consumed)))
            failed = None
        except broker_errors(connection) as fault:
            failed = type(fault).__name__
        finally:
            self._on_probe(self._clock() - started, failed, self.system)
            if failed is not None:
                self.close()

    def readings(self) -> Sequence[Reading]:
        """Return what the last round read, nothing if it failed or is too long ago."""
        read_at, readings = self._latest
        best_before = read_at + self._interval * (1 + _SLACK) + self._timeout
        return readings if self._clock() < best_before else ()

    @property
    def latest(self) -> Sequence[Reading]:
        """What the last round read, however long ago; nothing if it failed."""
        return self._latest[1]

    def close(self) -> None:
        """Close the connection; the next round opens it again, perhaps to the next broker."""
        self._channel = None
        if self._connection is not None:
            with suppress(*broker_errors(self._connection)):
                self._connection.close()

    def _broker(self) -> tuple[Any, QueueReader | None]:
        """Return the connection, which need not be open, and the reader for it if there is one."""
        if self._connection is None:
            self._connection = self._app.connection_for_read()
            transport = transport_name(self._connection)
            self.system = messaging_system(transport)
            be_impatient(self._connection, self._timeout)
            self._reader = next((one for one in self._readers if transport in one.transports), None)
        return self._connection, self._reader

    def _names(self, consumed: Iterable[str]) -> list[str]:
        """Return the queues to read: each once, and only those in which tasks wait."""
        conf = self._app.conf
        declared = conf.task_queues or [conf.task_default_queue]
        if not isinstance(declared, Mapping):
            declared = [getattr(queue, "name", queue) for queue in declared]
        names = dict.fromkeys((*declared, *consumed, *self._queues))
        return [name for name in names if self._holds_tasks(name)]

    def _holds_tasks(self, name: str) -> bool:
        """Tell a queue of tasks from those of events and remote control, and from broadcasts.

        The latter exist once for each worker, under a name that no other knows.
        """
        if name.startswith(f"{self._app.conf.event_queue_prefix}.") or name.endswith(".pidbox"):
            return False
        queue = self._app.amqp.queues.get(name)
        return queue is None or queue.exchange is None or queue.exchange.type != "fanout"


def be_impatient(connection: Any, seconds: float) -> None:
    """Bound how long a connection that is not open yet may wait for its broker."""
    given = connection.transport_options
    own = _patience(transport_name(connection), seconds, given)
    connection.transport_options = {**given, **own}


def broker_errors(connection: Any) -> tuple[type[Exception], ...]:
    """Return what a broker that cannot be read makes its transport raise."""
    return (*connection.connection_errors, *connection.channel_errors, KombuError, OSError)


def give_up(fault: Exception, interval: float) -> None:
    """End kombu's attempts to connect at the first; it has gone on to the next broker by then."""
    raise fault


def _patience(transport: str, seconds: float, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a transport that bound its waiting, as far as it has any."""
    if messaging_system(transport) == "redis":
        return {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry_on_timeout": False,
        }
    if messaging_system(transport) == "rabbitmq":
        return dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), seconds)
    if transport == "sqs":
        own = {
            "connect_timeout": seconds,
            "read_timeout": seconds,
            "retries": {"total_max_attempts": 1},
        }
        return {"client-config": {**given.get("client-config", {}), **own}}
    return {}
