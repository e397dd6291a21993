"""What do the lists of a Redis broker say?

Celery's messages lie in one list per queue and priority step: written on the left, taken from the
right. What workers hold lies in one hash for the whole database.

Source: kombu 5.7, `transport/redis.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from otel_celery.queues.head import waited
from otel_celery.queues.reading import BrokerReading, QueueReading, Reading

HEAD_BOUND = 256 * 1024
"""Bytes of a head, the whole message, that may cross the wire at every round."""
AGE_AFTER_LARGE = 8
"""A queue whose head was larger has its age read again so many rounds later."""


class RedisReader:
    """Reads all queues in one round trip; also over TLS and sentinels."""

    transports = frozenset({"redis", "rediss", "sentinel"})

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rests: dict[str, int] = {}

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[Reading]:
        """Return depth and age of each queue, and what workers hold of all.

        Redis does not know a queue that is empty from one that never was: both are 0.
        """
        names = list(dict.fromkeys(queues))
        left = {name: self._rests.get(name, 0) - 1 for name in names}
        self._rests = {name: rounds for name, rounds in left.items() if rounds > 0}
        answers = iter(self._ask(channel, names))
        now = self._clock()
        held, oldest = (next(answers), next(answers)) if channel.ack_emulation else (None, None)
        readings: list[Reading] = [_held(held, oldest, now)]
        faults = []
        for name in names:
            steps = range(len(channel.priority_steps))
            sizes = [next(answers) for _ in steps]
            heads = [next(answers) for _ in steps] if name not in self._rests else []
            refused = next((size for size in sizes if isinstance(size, Exception)), None)
            if refused is None:
                readings.append(QueueReading(name, sum(sizes), oldest_age=_age(sizes, heads, now)))
            else:
                faults.append(refused)
            if any(len(head) > HEAD_BOUND for head in heads if isinstance(head, bytes)):
                self._rests[name] = AGE_AFTER_LARGE
        if faults and len(faults) == len(names):
            raise faults[0]
        return readings

    def _ask(self, channel: Any, names: list[str]) -> list[Any]:
        """Return the answers, in order; in the place of a command that Redis refused, its error."""
        client = channel.client  # a sentinel's client, too, knows where its master is
        with client.pipeline(transaction=False) as pipe:
            if channel.ack_emulation:
                pipe.hlen(_key(channel, "HLEN", channel.unacked_key))
                index = _key(channel, "ZRANGE", channel.unacked_index_key)
                pipe.zrange(index, 0, 0, withscores=True)
            for name in names:
                lists = [
                    f"{name}{channel.sep}{step}" if step else name
                    for step in channel.priority_steps
                ]
                for key in lists:
                    pipe.llen(_key(channel, "LLEN", key))
                if name not in self._rests:
                    for key in lists:
                        pipe.lindex(_key(channel, "LINDEX", key), -1)
            answers: list[Any] = pipe.execute(raise_on_error=False)
            return answers


def _key(channel: Any, command: str, key: str) -> str:
    """Return a key as this command needs it.

    With `global_keyprefix` kombu's client prefixes the commands on a list of its own, and LINDEX
    is not on it: unprefixed it answers for a key that does not exist.
    """
    if command in getattr(channel.client, "PREFIXED_SIMPLE_COMMANDS", ()):
        return key
    return f"{channel.global_keyprefix}{key}"


def _held(held: Any, oldest: Any, now: float) -> BrokerReading:
    """Return what workers hold; the score in the index is the time of delivery."""
    if not isinstance(held, int) or not isinstance(oldest, list):
        return BrokerReading()
    return BrokerReading(held, max(0.0, now - oldest[0][1]) if oldest else 0.0)


def _age(sizes: list[int], heads: list[Any], now: float) -> float | None:
    """Return the age of the oldest head whose age is known."""
    if not any(sizes):
        return 0.0
    ages = [waited(head, now) for head in heads if isinstance(head, bytes)]
    return max((age for age in ages if age is not None), default=None)
