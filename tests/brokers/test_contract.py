"""What every reader of queues promises, asked of every broker."""

from __future__ import annotations

import pytest

from otel_celery.queues.reading import QueueReading
from tests.brokers.conftest import NOW, Broker
from tests.waiting import eventually

pytestmark = pytest.mark.broker


def test_ready_is_what_was_published(broker: Broker) -> None:
    """Each message counts once, for its own queue."""
    for queue in ("busy", "calm", "busy", "busy"):
        broker.publish(queue)
    found = broker.read("busy", "calm")
    assert {name: reading.ready for name, reading in found.items()} == {"busy": 3, "calm": 1}


def test_an_emptied_queue_has_nothing_ready_and_no_age(broker: Broker) -> None:
    """Where an age can be known, that nothing waits is known as well."""
    broker.publish("busy")
    broker.take("busy").ack()
    empty = QueueReading(
        "busy",
        0,
        consumers=0 if "consumers" in broker.tells else None,
        oldest_age=0.0 if "age" in broker.tells else None,
    )

    def is_read() -> None:
        """A quorum queue counts whoever took its message as a consumer for a moment longer."""
        assert broker.read("busy") == {"busy": empty}

    eventually(is_read)


def test_a_message_in_a_workers_hands_is_not_ready(broker: Broker) -> None:
    """What was taken and not acknowledged is out of `ready`."""
    broker.publish("busy")
    broker.publish("busy")
    held = broker.take("busy")
    eventually(lambda: broker.read("busy")["busy"].ready == 1)
    held.ack()
    assert broker.read("busy")["busy"].ready == 1


def test_messages_of_every_priority_are_ready(broker: Broker) -> None:
    """However a broker keeps them apart."""
    for priority in (0, 3, 9):
        broker.publish("busy", priority=priority)
    assert broker.read("busy")["busy"].ready == 3


def test_the_age_is_that_of_the_message_to_be_taken_next(broker: Broker) -> None:
    """The first one in is the first one out, and waits longest."""
    broker.publish("busy", sent_at=NOW - 30)
    broker.publish("busy", sent_at=NOW - 20)
    expected = pytest.approx(30.0, abs=0.001) if "age" in broker.tells else None
    assert broker.read("busy")["busy"].oldest_age == expected


def test_a_message_from_an_uninstrumented_producer_has_no_age(broker: Broker) -> None:
    """Unknown is None, never 0."""
    broker.publish("busy", sent_at=None)
    found = broker.read("busy")["busy"].oldest_age
    if "stamp" in broker.tells or "age" not in broker.tells:
        assert found is None
    else:
        assert found == pytest.approx(0.0, abs=0.001)


def test_the_amqp_timestamp_stands_in_for_our_stamp(broker: Broker) -> None:
    """Other producers may have set it."""
    broker.publish("busy", sent_at=None, timestamp=int(NOW) - 12)
    if "stamp" in broker.tells:
        assert broker.read("busy")["busy"].oldest_age == 12.0
    else:
        assert broker.read("busy")["busy"].ready == 1


def test_reading_twice_changes_nothing(broker: Broker) -> None:
    """Two rounds say the same, and the broker is as it was."""
    broker.publish("busy")
    broker.publish("calm")
    before = broker.census()
    first = broker.read("busy", "calm")
    assert broker.read("busy", "calm") == first
    assert broker.census() == before


def test_asking_for_an_unknown_queue_creates_nothing(broker: Broker) -> None:
    """A name that nobody declared is not declared by us."""
    broker.publish("calm")
    before = broker.census()
    found = broker.read("unheard-of")
    if "missing" in broker.tells:
        assert found == {}
    else:
        assert found == {"unheard-of": QueueReading("unheard-of", 0, oldest_age=0.0)}
    assert broker.census() == before


def test_an_unknown_queue_does_not_hide_its_neighbours(broker: Broker) -> None:
    """The round goes on behind a queue that is missing."""
    broker.publish("calm")
    assert broker.read("unheard-of", "calm")["calm"].ready == 1


def test_consumers_are_counted_where_the_broker_knows_them(broker: Broker) -> None:
    """One consumer is one, and unknown is None."""
    broker.publish("calm")
    before = broker.read("calm")["calm"].consumers
    queues, channel = [broker.queue("calm")], broker.connection.channel()
    with broker.connection.Consumer(queues, channel, callbacks=[lambda body, message: None]):
        during = broker.read("calm")["calm"].consumers
    assert (before, during) == ((0, 1) if "consumers" in broker.tells else (None, None))


def test_a_reader_works_again_after_an_error(broker: Broker) -> None:
    """What it keeps between rounds does not depend on the channel it was lent."""
    broker.publish("calm")
    with pytest.raises(AttributeError):
        broker.reader.read(object(), ["calm"])
    assert broker.read("calm")["calm"].ready == 1
