"""How does a queue get very many messages, quickly? One is sent, the rest are copies of it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import redis
from celery import Celery


class Copies:
    """Puts messages of one task into a queue of a Redis.

    Args:
        url: the Redis.
        task: name of the task.
        queue: where they go.
        app: sends the first; one that nobody watches unless given.
    """

    def __init__(self, url: str, task: str, queue: str = "celery", app: Any = None) -> None:
        self.broker, self._queue = redis.Redis.from_url(url), queue
        app = app or Celery(broker=url, set_as_current=False)
        with app.connection_for_write() as connection:
            app.send_task(task, queue="pattern", connection=connection, ignore_result=True)
        self._text = self.broker.brpop(["pattern"])[1].replace(b'"pattern"', f'"{queue}"'.encode())
        told = json.loads(self._text)
        self._ids = [told["headers"]["id"].encode(), told["properties"]["delivery_tag"].encode()]

    def put(self, number: int) -> None:
        """Add messages, each with ids of its own."""
        if number > 0:
            self.broker.lpush(self._queue, *(self._copy() for _ in range(number)))

    def fill(self, number: int) -> int:
        """Have at least this number wait; return how many were added."""
        missing = max(number - self.broker.llen(self._queue), 0)
        self.put(missing)
        return missing

    def _copy(self) -> bytes:
        text = self._text
        for each in self._ids:
            text = text.replace(each, str(uuid.uuid4()).encode())
        return text
