"""Brokers to read: each is made ready, filled and taken from in its own way."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Queue

from otel_celery.conventions import SENT
from otel_celery.queues.amqp import AmqpReader
from otel_celery.queues.generic import FilesystemReader, MemoryReader, SqlAlchemyReader
from otel_celery.queues.reading import QueueReader, QueueReading
from otel_celery.queues.redis import RedisReader
from tests.services import Service, ServiceMissing, missing, rabbitmq_service, redis_server

NOW = 1_800_000_000.0
"""What every reader's clock says."""


@dataclass
class Broker:
    """One broker, with the reader made for it and a look at all that is in it."""

    connection: Connection
    reader: QueueReader
    census: Callable[[], Any]
    tells: frozenset[str]
    """What it knows beyond `ready`: age, unacked, consumers, missing (that a queue is)."""
    dated: Callable[[float], Any] = field(default=lambda sent_at: None)
    """Called after a publish, where the broker itself keeps the date."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of its queues: what kind they are."""

    def publish(self, queue: str, sent_at: float | None = NOW, **properties: Any) -> None:
        """Send one message as Celery does by default, stamped as ours are."""
        headers = properties.pop("headers", {})
        if sent_at is not None:
            headers = {**headers, SENT: f"{sent_at:.6f}"}
        with self.connection.Producer() as producer:
            producer.publish(
                [[], {}, {}],
                exchange="",
                routing_key=queue,
                declare=[self.queue(queue)],
                headers=headers,
                **properties,
            )
        self.dated(NOW if sent_at is None else sent_at)

    def queue(self, name: str) -> Queue:
        """Return the declaration of a queue, as Celery makes it."""
        return Queue(name, exchange=name, routing_key=name, queue_arguments=dict(self.arguments))

    def take(self, queue: str) -> Any:
        """Take one message off a queue, and leave it unacknowledged."""
        message = self.queue(queue)(self.connection.default_channel).get()
        assert message is not None
        return message

    def read(self, *queues: str) -> dict[str, QueueReading]:
        """Lend a new channel to the reader, and return what it says of each queue."""
        with self.connection.channel() as channel:
            found = self.reader.read(channel, queues)
        return {reading.queue: reading for reading in found if isinstance(reading, QueueReading)}


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a Redis that tests share."""
    try:
        with redis_server(tmp_path_factory.mktemp("redis")) as url:
            yield url
    except ServiceMissing as why:
        missing(str(why))


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a RabbitMQ node that tests share."""
    try:
        with rabbitmq_service(tmp_path_factory.mktemp("rabbitmq")) as service:
            yield service
    except ServiceMissing as why:
        missing(str(why))


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: Service) -> str:
    """Return the URL of a RabbitMQ node that tests share."""
    return rabbitmq.url


def connect(url: str, **options: Any) -> Connection:
    """Return a connection as an app would make it."""
    app = Celery(broker=url, broker_transport_options=options, set_as_current=False)
    return app.connection_for_read()


@contextlib.contextmanager
def memory_broker() -> Iterator[Broker]:
    """Yield kombu's broker of this process."""
    with connect("memory://") as connection:
        held = connection.default_channel.queues
        yield Broker(
            connection,
            MemoryReader(),
            lambda: {name: list(queue.queue) for name, queue in held.items()},
            frozenset({"missing"}),
        )
        held.clear()
        connection.transport.state.clear()


@contextlib.contextmanager
def filesystem_broker(folder: Path) -> Iterator[Broker]:
    """Yield a broker in a folder."""
    messages = folder / "messages"
    messages.mkdir()
    seen: set[Path] = set()

    def census() -> dict[Path, Any]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    def dated(sent_at: float) -> None:
        for path in set(messages.iterdir()) - seen:
            os.utime(path, (sent_at, sent_at))
            seen.add(path)
        written = time.monotonic()
        while time.monotonic() < written + 0.002:
            pass  # kombu orders by the millisecond

    options = {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(folder / "control"),
    }
    with connect("filesystem://", **options) as connection:
        reader = FilesystemReader(lambda: NOW)
        yield Broker(connection, reader, census, frozenset({"age"}), dated)


@contextlib.contextmanager
def sqlalchemy_broker(folder: Path) -> Iterator[Broker]:
    """Yield a broker in an SQLite file."""
    try:
        import sqlalchemy  # noqa: F401 - kombu wants it, and says so less clearly
    except ImportError:
        missing("sqlalchemy is not installed")
    file = folder / "broker.sqlite"

    def census() -> list[str]:
        with contextlib.closing(sqlite3.connect(file)) as database:
            return list(database.iterdump())

    with connect(f"sqla+sqlite:///{file}") as connection:
        reader = SqlAlchemyReader(lambda: NOW)
        yield Broker(connection, reader, census, frozenset({"age", "missing", "stamp"}))
        channel = connection.default_channel
        channel.session.close()
        for engine, _ in channel._engines.values():
            engine.dispose()
        channel._engines.clear()


@contextlib.contextmanager
def redis_broker(url: str, **options: Any) -> Iterator[Broker]:
    """Yield an empty database of a Redis."""
    with redis.Redis.from_url(url) as client, connect(url, **options) as connection:
        client.flushdb()
        yield Broker(
            connection,
            RedisReader(lambda: NOW),
            lambda: {key: (client.dump(key), client.pttl(key)) for key in client.scan_iter()},
            frozenset({"age", "stamp"}),
        )


@contextlib.contextmanager
def amqp_broker(url: str, **arguments: Any) -> Iterator[Broker]:
    """Yield a RabbitMQ node without the queues that the tests use.

    What is published has arrived: a quorum queue takes a moment otherwise.
    """
    with connect(url, confirm_publish=True) as connection:

        def census() -> dict[str, Any]:
            found = {}
            for name in ("busy", "calm", "unheard-of"):
                channel = connection.channel()
                with contextlib.suppress(connection.channel_errors), channel:
                    found[name] = channel.queue_declare(name, passive=True)
            return found

        tells = frozenset({"consumers", "missing"})
        yield Broker(connection, AmqpReader(), census, tells, arguments=arguments)
        for name in census():
            connection.default_channel.queue_delete(name)


AMQP_QUEUES: Mapping[str, Mapping[str, Any]] = {
    "amqp": {},
    "amqp-quorum": {"x-queue-type": "quorum"},
    "amqp-priorities": {"x-max-priority": 9},
}
NOLOAD = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
"""kombu 5.7's models, as SQLAlchemy 2.1 sees them."""


@pytest.fixture(
    params=[
        "memory",
        "filesystem",
        pytest.param("sqlalchemy", marks=NOLOAD),
        "redis",
        "redis-prefixed",
        *AMQP_QUEUES,
    ]
)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Yield each broker in turn, empty."""
    opened = {
        "memory": lambda: memory_broker(),
        "filesystem": lambda: filesystem_broker(tmp_path),
        "sqlalchemy": lambda: sqlalchemy_broker(tmp_path),
        "redis": lambda: redis_broker(request.getfixturevalue("redis_url")),
        "redis-prefixed": lambda: redis_broker(
            request.getfixturevalue("redis_url"), global_keyprefix="team:"
        ),
        **{
            name: lambda arguments=arguments: amqp_broker(
                request.getfixturevalue("rabbitmq_url"), **arguments
            )
            for name, arguments in AMQP_QUEUES.items()
        },
    }[request.param]
    with opened() as made:
        yield made
