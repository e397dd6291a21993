"""What does RabbitMQ say to a passive declare?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        for name in dict.fromkeys(queues):
            own = channel.connection.channel()
            try:
                found = own.queue_declare(name, passive=True)
            except channel.connection.channel_errors:
                continue
            own.close()
            readings.append(QueueReading(name, found.message_count, consumers=found.consumer_count))
        return readings
