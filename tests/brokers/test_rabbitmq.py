"""What is asked of RabbitMQ leaves nothing behind there, and it may refuse or go away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers.conftest import Broker, amqp_broker
from tests.services import Service

pytestmark = pytest.mark.broker


@pytest.fixture
def broker(rabbitmq: Service) -> Iterator[Broker]:
    """Yield the node without the queues that the tests use."""
    with amqp_broker(rabbitmq.url) as made:
        yield made


def test_a_round_leaves_no_channel_behind(broker: Broker) -> None:
    """A refused channel is closed, too: a connection has 2,047, and one not closed is used up."""
    broker.publish("busy")
    with broker.connection.channel() as channel:
        before = len(channel.connection.channels)
        for _ in range(3):
            broker.reader.read(channel, ["unheard-of", "busy", "unheard-of-either"])
        assert len(channel.connection.channels) == before


def test_a_queue_that_belongs_to_another_connection_is_passed_over(broker: Broker) -> None:
    """Its broker refuses to tell of it; of the others it tells."""
    broker.publish("busy")
    with broker.connection.clone() as other:
        other.default_channel.queue_declare("calm", exclusive=True)
        assert set(broker.read("calm", "busy")) == {"busy"}
