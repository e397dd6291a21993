"""A broker that is gone or silent is a failed probe, soon over, and no reading."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from otel_celery.queues import BrokerReading, QueuePoller, QueueReading, built_in_readers
from tests.services import HOST, Service, ServiceMissing, missing, rabbitmqctl, redis_service

pytestmark = pytest.mark.broker

PATIENCE = 0.2
NOTHING_WAITS = [BrokerReading(0, 0.0), QueueReading("celery", 0, oldest_age=0.0)]


class Watched:
    """A poller of one app, and what it told of its probes."""

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self.errors: list[str | None] = []
        self.poller = QueuePoller(
            Celery(broker=url, set_as_current=False),
            built_in_readers(),
            [],
            0.001,
            patience,
            on_probe=lambda seconds, error_type, system: self.errors.append(error_type),
        )

    def poll(self) -> float:
        """Read once, and return how long the caller was held up."""
        started = time.monotonic()
        self.poller.poll(started + 1000.0 * len(self.errors))
        return time.monotonic() - started

    def latest(self) -> list[object]:
        """Return the last readings, however old."""
        return list(self.poller.latest)


@pytest.fixture
def watched() -> Iterator[Callable[..., Watched]]:
    """Return a maker of pollers that are closed in the end."""
    made: list[Watched] = []

    def make(url: str, patience: float = PATIENCE) -> Watched:
        made.append(Watched(url, patience))
        return made[-1]

    yield make
    for one in made:
        one.poller.close()


@pytest.fixture
def silent() -> Iterator[int]:
    """Yield a port on which nobody ever says a word."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen()
        yield listening.getsockname()[1]


@contextlib.contextmanager
def nothing(service: Service) -> Iterator[None]:
    """Leave a broker as it is."""
    yield


freeze = Service.frozen


@contextlib.contextmanager
def shut(service: Service) -> Iterator[None]:
    """Have a broker close the connections that it has."""
    rabbitmqctl(service, "close_all_connections", "away for a moment")
    yield


@pytest.mark.parametrize("scheme", ["redis", "rediss", "amqp"])
def test_a_silent_broker_holds_up_a_round_for_the_timeout_only(
    watched: Callable[..., Watched], silent: int, scheme: str
) -> None:
    """Neither kombu nor its drivers try again before we are told."""
    query = "?ssl_cert_reqs=none" if scheme == "rediss" else ""
    one = watched(f"{scheme}://{HOST}:{silent}//{query}")
    held_up = one.poll()
    assert (one.errors, one.latest()) == (["TimeoutError"], [])
    assert PATIENCE <= held_up < 5 * PATIENCE


def test_a_broker_that_hangs_leaves_no_readings_until_it_is_back(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    """Not those of before, and not 0."""
    try:
        service = redis_service(tmp_path)
    except ServiceMissing as why:
        missing(str(why))
    with service:
        one = watched(service.url)
        one.poll()
        assert one.latest() == NOTHING_WAITS
        with service.frozen():
            one.poll()
            assert one.latest() == []
        one.poll()
        assert one.latest() == NOTHING_WAITS
    assert one.errors == [None, "TimeoutError", None]


@pytest.mark.long
def test_rabbitmq_may_hang_or_close_the_connection(
    watched: Callable[..., Watched], rabbitmq: Service
) -> None:
    """The round that meets it has failed, soon, and has no readings; the next one reads."""
    app = Celery(broker=rabbitmq.url, set_as_current=False)
    with app.connection_for_write() as connection, connection.SimpleQueue("celery") as queue:
        queue.put("one")
    patience = 1.0
    one = watched(rabbitmq.url, patience)
    found = []
    for meanwhile in (nothing, freeze, nothing, shut, nothing):
        with meanwhile(rabbitmq):
            held_up = one.poll()
            found.append(one.latest())
        assert held_up < 2 * patience, "it waits once, not again to say goodbye"
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete("celery")
    one_waits = [QueueReading("celery", 1, consumers=0)]
    assert found == [one_waits, [], one_waits, [], one_waits]
    assert one.errors == [None, "TimeoutError", None, "ConnectionForced", None]


def test_the_next_broker_of_several_is_asked_in_the_next_round(
    watched: Callable[..., Watched], redis_url: str
) -> None:
    """kombu's failover works for us as for the worker."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    one = watched(f"redis://{HOST}:1/0;{redis_url}")
    one.poll()
    one.poll()
    assert one.errors == ["ConnectionError", None]
    assert one.latest() == NOTHING_WAITS


def test_rounds_share_one_connection(watched: Callable[..., Watched], redis_url: str) -> None:
    """A poller is one client of the broker."""
    one = watched(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        before = client.info("stats")["total_connections_received"]
        for _ in range(5):
            one.poll()
        assert client.info("stats")["total_connections_received"] - before == 1
    assert one.errors == [None] * 5
