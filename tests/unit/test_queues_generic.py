"""Amazon SQS is asked for numbers, and never for a new queue."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from otel_celery.queues.generic import SqsReader
from otel_celery.queues.reading import QueueReading

URL = "https://sqs.test/1/"


class QueueDoesNotExist(Exception):
    """As boto3 makes one for each client."""


class Channel:
    """kombu's SQS channel as far as it asks AWS; what is not listed must not be called."""

    def __init__(self, existing: Iterable[str], predefined: bool = False) -> None:
        self.existing = set(existing)
        self.exceptions = SimpleNamespace(QueueDoesNotExist=QueueDoesNotExist)
        self.predefined = predefined
        self.calls: list[tuple[str, str]] = []
        self._queue_cache: dict[str, str] = {}

    def canonical_queue_name(self, name: str) -> str:
        return f"team-{name}".replace(".", "-")

    def sqs(self, queue: str) -> Channel:
        return self

    def _update_queue_cache(self, prefix: str) -> None:
        if not self.predefined:
            self.calls.append(("list_queues", prefix))
            found = [name for name in self.existing if name.startswith(prefix)]
            self._queue_cache.update({name: URL + name for name in found})

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> Any:
        self.calls.append(("get_queue_attributes", QueueUrl))
        if QueueUrl.removeprefix(URL) not in self.existing:
            raise QueueDoesNotExist
        values = ("7", "3", "2")
        return {"Attributes": dict(zip(AttributeNames, values, strict=True))}


READ = QueueReading("mail.eu", 7, unacked=3, delayed=2)


def test_all_three_numbers_come_in_one_call() -> None:
    """The name is the one that kombu gave the queue at AWS."""
    channel = Channel(["team-mail-eu"])
    assert SqsReader().read(channel, ["mail.eu"]) == [READ]
    assert channel.calls == [
        ("list_queues", "team-mail-eu"),
        ("get_queue_attributes", URL + "team-mail-eu"),
    ]


def test_a_known_address_is_not_looked_up_again() -> None:
    """Requests cost money."""
    channel, reader = Channel(["team-mail-eu"]), SqsReader()
    reader.read(channel, ["mail.eu"])
    channel.calls.clear()
    assert reader.read(channel, ["mail.eu"]) == [READ]
    assert channel.calls == [("get_queue_attributes", URL + "team-mail-eu")]


@pytest.mark.parametrize("predefined", [False, True], ids=["listed", "predefined"])
def test_a_queue_that_does_not_exist_has_no_reading(predefined: bool) -> None:
    """And still does not exist."""
    channel = Channel([], predefined)
    assert SqsReader().read(channel, ["mail.eu"]) == []
    assert "get_queue_attributes" not in dict(channel.calls)


def test_a_queue_that_was_deleted_does_not_hide_its_neighbours() -> None:
    """kombu remembers the address of a queue for ever."""
    channel = Channel(["team-mail-eu"])
    channel._queue_cache["team-gone"] = URL + "team-gone"
    assert SqsReader().read(channel, ["gone", "mail.eu"]) == [READ]
