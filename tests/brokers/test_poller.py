"""A broker that is gone or silent is a failed probe, soon over, and no reading."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from otel_celery.queues import BrokerReading, QueuePoller, QueueReading, built_in_readers
from tests.brokers.conftest import missing
from tests.services import HOST, ServiceMissing, redis_server

pytestmark = pytest.mark.broker

PATIENCE = 0.2
NOTHING_WAITS = [BrokerReading(0, 0.0), QueueReading("celery", 0, oldest_age=0.0)]


class Watched:
    """A poller of one app, and what it told of its probes."""

    def __init__(self, url: str) -> None:
        self.errors: list[str | None] = []
        self.poller = QueuePoller(
            Celery(broker=url, set_as_current=False),
            built_in_readers(),
            [],
            0.001,
            PATIENCE,
            on_probe=lambda seconds, error_type, system: self.errors.append(error_type),
        )

    def poll(self) -> float:
        """Read once, and return how long the caller was held up."""
        started = time.monotonic()
        self.poller.poll(started + 1000.0 * len(self.errors))
        return time.monotonic() - started

    def latest(self) -> list[object]:
        """Return the last readings, however old."""
        return list(self.poller._latest[1])


@pytest.fixture
def watched() -> Iterator[Callable[[str], Watched]]:
    """Return a maker of pollers that are closed in the end."""
    made: list[Watched] = []

    def make(url: str) -> Watched:
        made.append(Watched(url))
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


@pytest.mark.parametrize("scheme", ["redis", "rediss", "amqp"])
def test_a_silent_broker_holds_up_a_round_for_the_timeout_only(
    watched: Callable[[str], Watched], silent: int, scheme: str
) -> None:
    """Neither kombu nor its drivers try again before we are told."""
    query = "?ssl_cert_reqs=none" if scheme == "rediss" else ""
    one = watched(f"{scheme}://{HOST}:{silent}//{query}")
    held_up = one.poll()
    assert (one.errors, one.latest()) == (["TimeoutError"], [])
    assert PATIENCE <= held_up < 5 * PATIENCE


def test_a_broker_that_hangs_leaves_no_readings_until_it_is_back(
    watched: Callable[[str], Watched], tmp_path: Path
) -> None:
    """Not those of before, and not 0."""
    try:
        with redis_server(tmp_path) as url:
            with redis.Redis.from_url(url) as client:
                pid = int(client.info("server")["process_id"])
            one = watched(url)
            one.poll()
            assert one.latest() == NOTHING_WAITS
            os.kill(pid, signal.SIGSTOP)
            try:
                one.poll()
                assert one.latest() == []
            finally:
                os.kill(pid, signal.SIGCONT)
            one.poll()
            assert one.latest() == NOTHING_WAITS
    except ServiceMissing as why:
        missing(str(why))
    assert one.errors == [None, "TimeoutError", None]


def test_the_next_broker_of_several_is_asked_in_the_next_round(
    watched: Callable[[str], Watched], redis_url: str
) -> None:
    """kombu's failover works for us as for the worker."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    one = watched(f"redis://{HOST}:1/0;{redis_url}")
    one.poll()
    one.poll()
    assert one.errors == ["ConnectionError", None]
    assert one.latest() == NOTHING_WAITS


def test_rounds_share_one_connection(watched: Callable[[str], Watched], redis_url: str) -> None:
    """A poller is one client of the broker."""
    one = watched(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        before = client.info("stats")["total_connections_received"]
        for _ in range(5):
            one.poll()
        assert client.info("stats")["total_connections_received"] - before == 1
    assert one.errors == [None] * 5
