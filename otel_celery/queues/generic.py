"""What do the brokers say that are neither Redis nor RabbitMQ?

For each kombu transport that can be read without a trace there is a reader; its own `_size` is
not asked, because in several transports that creates the queue.

Source: kombu 5.7, `transport/{memory,filesystem,sqlalchemy,SQS}`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from otel_celery.queues.head import waited
from otel_celery.queues.reading import QueueReading

_SQS_READY = "ApproximateNumberOfMessages"
_SQS_UNACKED = "ApproximateNumberOfMessagesNotVisible"
_SQS_DELAYED = "ApproximateNumberOfMessagesDelayed"


class MemoryReader:
    """Reads the queues of this process: the broker of tests."""

    transports = frozenset({"memory"})

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[QueueReading]:
        """Return a reading of each queue that exists."""
        found = {name: channel.queues.get(name) for name in queues}
        return [QueueReading(name, queue.qsize()) for name, queue in found.items() if queue]


class FilesystemReader:
    """Reads a folder: a message is a file there, a queue the end of its name."""

    transports = frozenset({"filesystem"})

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[QueueReading]:
        """Return depth and age of each queue; one that is empty is no other than one unknown."""
        folder = Path(channel.data_folder_in)
        waiting: dict[str, list[str]] = {name: [] for name in queues}
        with os.scandir(folder) as entries:
            for file in entries:
                queue = file.name.partition(".")[2]
                if queue.endswith(".msg") and queue[:-4] in waiting:
                    waiting[queue[:-4]].append(file.name)
        return [
            QueueReading(name, len(files), oldest_age=self._age(folder, files))
            for name, files in waiting.items()
        ]

    def _age(self, folder: Path, files: list[str]) -> float | None:
        """Return the age of the file that is taken first.

        The number at the start of its name is a monotonic clock's, of no use after a restart.
        """
        if not files:
            return 0.0
        try:
            written_at = (folder / min(files)).stat().st_mtime
        except FileNotFoundError:  # taken in the meantime
            return None
        return max(0.0, self._clock() - written_at)


class SqlAlchemyReader:
    """Reads a database: a message is a row, visible until it is taken.

    Rows that were taken stay in the table, acknowledged or not: what is unacked cannot be known.
    """

    transports = frozenset({"sqla", "sqlalchemy", "sql"})

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[QueueReading]:
        """Return depth and age of each queue that has a row."""
        if not _has_tables(channel):
            return []
        try:
            return [found for name in queues if (found := self._one(channel, name)) is not None]
        finally:
            channel.session.rollback()  # else the next round would see this one's snapshot

    def _one(self, channel: Any, name: str) -> QueueReading | None:
        session, queue, message = channel.session, channel.queue_cls, channel.message_cls
        found = session.query(queue.id).filter(queue.name == name).scalar()
        if found is None:
            return None
        waiting = session.query(message.payload).filter(
            message.queue_id == found, message.visible.is_(True)
        )
        ready = waiting.count()
        head = waiting.order_by(message.id).limit(1).scalar()
        age = waited(head, self._clock()) if head is not None else None
        return QueueReading(name, ready, oldest_age=age if ready else 0.0)


def _has_tables(channel: Any) -> bool:
    """Tell whether kombu's tables exist; opening its session creates them."""
    if channel.connection.client.hostname in channel._engines:
        return True
    engine = channel._engine_from_config()
    try:
        with engine.connect() as connection:
            return bool(engine.dialect.has_table(connection, channel.message_tablename))
    finally:
        engine.dispose()


class SqsReader:
    """Reads Amazon SQS, whose own numbers are approximate; the age stands in CloudWatch only."""

    transports = frozenset({"sqs"})

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[QueueReading]:
        """Return a reading of each queue that exists: one call each, and one for each missing."""
        found = (self._one(channel, name) for name in queues)
        return [reading for reading in found if reading is not None]

    def _one(self, channel: Any, name: str) -> QueueReading | None:
        own_name = channel.canonical_queue_name(name)
        if own_name not in channel._queue_cache:
            channel._update_queue_cache(own_name)
        url = channel._queue_cache.get(own_name)
        if url is None:
            return None
        client = channel.sqs(queue=own_name)
        try:
            answer = client.get_queue_attributes(
                QueueUrl=url, AttributeNames=[_SQS_READY, _SQS_UNACKED, _SQS_DELAYED]
            )
        except client.exceptions.QueueDoesNotExist:
            return None
        numbers = answer["Attributes"]
        return QueueReading(
            name,
            int(numbers[_SQS_READY]),
            unacked=int(numbers[_SQS_UNACKED]),
            delayed=int(numbers[_SQS_DELAYED]),
        )
