"""What must every reader of queues promise?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Queue

from otel_celery.queues.reading import QueueReader, QueueReading

_BUSY, _CALM, _UNKNOWN = (f"otel-celery-{name}" for name in ("busy", "calm", "never-declared"))


class QueueReaderContract:
    """The promises of a `QueueReader`, asked of yours.

    Inherit, under a name that pytest collects, and say how to reach a broker that holds nothing:

        class TestKafkaReader(QueueReaderContract):
            def reader(self): return KafkaReader()
            def connect(self): return Connection("confluentkafka://localhost:9092")
    """

    connection: Any

    def reader(self) -> QueueReader:
        """Return the reader to be tested."""
        raise NotImplementedError

    def connect(self) -> Connection:
        """Return a connection to a broker that is there for this test."""
        raise NotImplementedError

    def census(self) -> Any:
        """Return what the broker holds, by its own means; two of them are compared."""

    @pytest.fixture(autouse=True)
    def _connected(self) -> Iterator[None]:
        with self.connect() as self.connection:
            for queue in (_BUSY, _CALM):
                self._queue(queue)(self.connection.default_channel).declare()
            try:
                yield
            finally:
                for queue in (_BUSY, _CALM):
                    self._queue(queue)(self.connection.default_channel).delete()

    def test_it_names_the_transport_that_it_reads(self) -> None:
        """By kombu's lower-case name; that is how it is found."""
        transports = self.reader().transports
        assert isinstance(transports, frozenset)
        assert self.connection.transport.driver_type in transports or (
            self.connection.as_uri().partition(":")[0] in transports
        )

    def test_ready_is_what_was_published(self) -> None:
        """Each message counts once, for its own queue."""
        self._publish(_BUSY, _CALM, _BUSY)
        found = self._read(_BUSY, _CALM)
        assert {name: one.ready for name, one in found.items()} == {_BUSY: 2, _CALM: 1}

    def test_a_message_in_a_workers_hands_is_not_ready(self) -> None:
        """It was taken, though it is not acknowledged yet."""
        self._publish(_BUSY, _BUSY)
        held = self._queue(_BUSY)(self.connection.default_channel).get()
        assert self._read(_BUSY)[_BUSY].ready == 1
        held.ack()
        assert self._read(_BUSY)[_BUSY].ready == 1

    def test_no_number_is_negative_and_nothing_waits_in_an_empty_queue(self) -> None:
        """What cannot be known is None."""
        empty = self._read(_CALM).get(_CALM, QueueReading(_CALM, 0))
        assert empty.ready == 0
        assert empty.oldest_age in (None, 0)
        self._publish(_CALM)
        filled = self._read(_CALM)[_CALM]
        known = (filled.unacked, filled.delayed, filled.consumers, filled.oldest_age)
        assert all(number >= 0 for number in known if number is not None)

    def test_reading_changes_nothing(self) -> None:
        """Two rounds say the same, and all messages are there in their order."""
        sent = self._publish(_BUSY, _BUSY, _BUSY)
        before = self.census()
        first = {name: one.ready for name, one in self._read(_BUSY).items()}
        assert {name: one.ready for name, one in self._read(_BUSY).items()} == first
        assert self.census() == before
        queue = self._queue(_BUSY)(self.connection.default_channel)
        assert [queue.get(no_ack=True).payload for _ in sent] == sent

    def test_an_unknown_queue_is_not_made_and_hides_no_other(self) -> None:
        """A round goes on behind it; it has no reading, or nothing ready."""
        self._publish(_CALM)
        before = self.census()
        found = self._read(_UNKNOWN, _CALM)
        assert found[_CALM].ready == 1
        assert _UNKNOWN not in found or found[_UNKNOWN].ready == 0
        assert self.census() == before

    def test_it_works_again_after_an_error(self) -> None:
        """What it keeps between two rounds does not depend on the channel it was lent."""
        self._publish(_CALM)
        reader = self.reader()
        with pytest.raises((AttributeError, TypeError)):
            reader.read(object(), [_CALM])
        assert self._read(_CALM, reader=reader)[_CALM].ready == 1

    def _queue(self, name: str) -> Any:
        return Queue(name, exchange=name, routing_key=name)  # type: ignore[no-untyped-call]

    def _publish(self, *queues: str) -> list[int]:
        """Send a number to each of these queues, in this order; return them."""
        with self.connection.Producer() as producer:
            for number, queue in enumerate(queues):
                producer.publish(number, exchange="", routing_key=queue)
        return list(range(len(queues)))

    def _read(self, *queues: str, reader: QueueReader | None = None) -> dict[str, QueueReading]:
        """Lend a new channel, as the worker does."""
        with self.connection.channel() as channel:
            found = (reader or self.reader()).read(channel, queues)
        return {one.queue: one for one in found if isinstance(one, QueueReading)}
