"""What does RabbitMQ say to a passive declare?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from otel_celery.queues.reading import QueueReading


class AmqpReader:
    """Reads what AMQP itself tells: messages ready and consumers, not age, not unacked."""

    transports = frozenset({"amqp", "amqps", "pyamqp"})

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[QueueReading]:
        """Return a reading of each queue that exists and may be seen.

        The broker closes a channel on which it refused something (404, 403, and 405 for another
        connection's own queue), so each queue is asked for on a channel of its own.
        """
        readings = []
        connection = channel.connection
        for name in dict.fromkeys(queues):
            found = None
            try:
                own = connection.channel()
                with suppress(*connection.channel_errors):
                    found = own.queue_declare(name, passive=True)
                own.close()  # after a refusal too: py-amqp has opened it anew by then
            except connection.connection_errors:
                connection.collect()  # closing in order would wait for the broker once more
                raise
            if found is not None:
                ready, consumers = found.message_count, found.consumer_count
                readings.append(QueueReading(name, ready, consumers=consumers))
        return readings
