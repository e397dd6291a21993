"""What only Redis has: priority steps, a prefix, what workers hold, sentinels."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import redis

from otel_celery.queues.reading import BrokerReading, QueueReading
from otel_celery.queues.redis import AGE_AFTER_LARGE, HEAD_BOUND, RedisReader
from tests.brokers.conftest import NOW, Broker, connect, missing, redis_broker
from tests.services import ServiceMissing, free_port, program, redis_sentinel, redis_server

pytestmark = pytest.mark.broker


@pytest.fixture(
    params=[
        pytest.param({}, id="plain"),
        pytest.param({"global_keyprefix": "team:"}, id="prefixed"),
        pytest.param({"sep": ":", "priority_steps": [0, 2, 4, 6, 8]}, id="own-steps"),
    ]
)
def broker(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Broker]:
    """Yield an empty Redis, as apps may have set it up."""
    with redis_broker(redis_url, **request.param) as made:
        yield made


def held(broker: Broker) -> BrokerReading:
    """Return what workers hold of all queues."""
    with broker.connection.channel() as channel:
        (found,) = (
            x for x in broker.reader.read(channel, ["busy"]) if isinstance(x, BrokerReading)
        )
        return found


def test_all_priorities_count(broker: Broker) -> None:
    """A queue is all of its steps together, and as old as the oldest of their heads."""
    for priority in reversed(range(10)):
        broker.publish("busy", sent_at=NOW - priority, priority=priority)
    assert broker.read("busy") == {"busy": QueueReading("busy", 10, oldest_age=9.0)}


def test_a_head_is_not_waiting_before_its_eta(broker: Broker) -> None:
    """Delay that the sender asked for counts as 0."""
    broker.publish("busy", sent_at=NOW - 60, headers={"eta": iso(NOW + 60)})
    assert broker.read("busy") == {"busy": QueueReading("busy", 1, oldest_age=0.0)}


def test_a_head_waits_from_its_eta_on(broker: Broker) -> None:
    """The later of stamp and eta is where waiting begins."""
    broker.publish("busy", sent_at=NOW - 60, headers={"eta": iso(NOW - 5)})
    assert broker.read("busy") == {"busy": QueueReading("busy", 1, oldest_age=5.0)}


def test_an_unstamped_step_does_not_hide_the_age_of_another(broker: Broker) -> None:
    """What is known is a lower bound."""
    broker.publish("busy", sent_at=None, priority=0)
    broker.publish("busy", sent_at=NOW - 7, priority=9)
    assert broker.read("busy") == {"busy": QueueReading("busy", 2, oldest_age=7.0)}


def test_nothing_held_is_known_as_nothing(broker: Broker) -> None:
    """An empty broker has 0 unacked, of age 0."""
    assert held(broker) == BrokerReading(0, 0.0)


def test_what_workers_hold_is_read_for_the_whole_database(broker: Broker) -> None:
    """The age is that of the oldest delivery, by the clock of the worker that took it."""
    broker.publish("busy")
    broker.publish("calm")
    messages = [broker.take("busy"), broker.take("calm")]
    client, qos = broker.connection.default_channel.client, broker.connection.default_channel.qos
    client.zadd(qos.unacked_index_key, {messages[1].delivery_tag: NOW - 90})
    client.zadd(qos.unacked_index_key, {messages[0].delivery_tag: NOW - 30})
    assert held(broker) == BrokerReading(2, 90.0)


def test_without_acknowledgements_what_workers_hold_is_unknown(redis_url: str) -> None:
    """kombu then keeps no list of it."""
    with redis_broker(redis_url, ack_emulation=False) as broker:
        broker.publish("busy")
        assert held(broker) == BrokerReading()


def test_the_age_behind_a_large_head_is_read_less_often(broker: Broker) -> None:
    """A large message crosses the wire once in a while, its queue's depth at every round."""
    broker.publish("busy", sent_at=NOW - 3, headers={"large": "x" * HEAD_BOUND})
    rounds = [broker.read("busy")["busy"] for _ in range(AGE_AFTER_LARGE + 1)]
    assert [reading.ready for reading in rounds] == [1] * len(rounds)
    assert [reading.oldest_age for reading in rounds] == [
        3.0,
        *[None] * (AGE_AFTER_LARGE - 1),
        3.0,
    ]


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(b"\xff\x00not json", id="binary"),
        pytest.param(b"[1, 2]", id="list"),
        pytest.param(json.dumps({"headers": [], "properties": "x"}).encode(), id="odd-types"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_a_foreign_message_counts_and_has_no_age(broker: Broker, stored: bytes) -> None:
    """Whatever lies in the list is a message that waits."""
    broker.connection.default_channel.client.lpush("busy", stored)
    assert broker.read("busy") == {"busy": QueueReading("busy", 1)}


def test_a_key_that_is_no_list_is_no_queue(broker: Broker) -> None:
    """Its neighbours are read all the same."""
    broker.publish("busy")
    broker.connection.default_channel.client.sadd("calm", "x")
    assert set(broker.read("busy", "calm")) == {"busy"}


def test_a_round_in_which_nothing_could_be_read_is_an_error(broker: Broker) -> None:
    """A user without rights must not look like a broker without queues."""
    broker.connection.default_channel.client.sadd("calm", "x")
    with pytest.raises(redis.ResponseError):
        broker.read("calm")


def test_one_round_is_one_request(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many queues and steps there are."""
    sent: list[Any] = []
    with broker.connection.channel() as channel:
        broker.reader.read(channel, ["busy", "calm"])
        connection = channel.client.connection_pool.get_connection()
        pack = connection.pack_commands
        monkeypatch.setattr(
            connection, "pack_commands", lambda all_: sent.append(all_) or pack(all_)
        )
        channel.client.connection_pool.release(connection)
        broker.reader.read(channel, ["busy", "calm"])
    assert len(sent) == 1


def test_a_sentinel_leads_to_the_master(tmp_path: Path) -> None:
    """kombu's own client for sentinels is reused, and knows the master."""
    try:
        with redis_server(tmp_path) as url, redis_sentinel(tmp_path, url) as sentinel_url:
            with redis_broker(url) as filled:
                filled.publish("busy", sent_at=NOW - 4)
            with connect(sentinel_url, master_name="main") as connection:
                found = RedisReader(lambda: NOW).read(connection.channel(), ["busy"])
    except ServiceMissing as why:
        missing(str(why))
    assert found == [BrokerReading(0, 0.0), QueueReading("busy", 1, oldest_age=4.0)]


def test_tls_is_kombus(tmp_path: Path) -> None:
    """What lets the app in lets the reader in."""
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    options = [
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
    ]
    try:
        self_signed(program("openssl"), key, certificate)
        with redis_server(tmp_path, *options) as url:
            with redis_broker(url) as filled:
                filled.publish("busy", sent_at=NOW - 4)
            secure = (
                f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={certificate}"
            )
            with connect(secure) as connection:
                found = RedisReader(lambda: NOW).read(connection.channel(), ["busy"])
    except ServiceMissing as why:
        missing(str(why))
    assert found == [BrokerReading(0, 0.0), QueueReading("busy", 1, oldest_age=4.0)]


def self_signed(openssl: str, key: Path, certificate: Path) -> None:
    """Write a key and a certificate for the loopback."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)


def iso(instant: float) -> str:
    """Return an eta as Celery writes it."""
    return datetime.fromtimestamp(instant, timezone.utc).isoformat()
