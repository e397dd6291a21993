"""What waits in the broker? Readers for its kinds, and the poller that asks them."""

from __future__ import annotations

from otel_celery.queues.naming import QueueNames, messaging_system, queue_name
from otel_celery.queues.poller import QueuePoller, built_in_readers
from otel_celery.queues.reading import BrokerReading, QueueReader, QueueReading, Reading

__all__ = [
    "BrokerReading",
    "QueueNames",
    "QueuePoller",
    "QueueReader",
    "QueueReading",
    "Reading",
    "built_in_readers",
    "messaging_system",
    "queue_name",
]
