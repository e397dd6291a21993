"""What do the hooks in Celery need from the process they run in?"""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from otel_celery.facts import Broker, Failure
from otel_celery.voice import Brokers, failure_of


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        pytest.param("redis://me:secret@host:7000/1", Broker("redis", "host", 7000), id="redis"),
        pytest.param("redis://", Broker("redis", "localhost", 6379), id="usual-place"),
        pytest.param("amqp://me:secret@host//", Broker("rabbitmq", "host", 5672), id="rabbitmq"),
        pytest.param("memory://", Broker("memory", "", 0), id="no-network"),
        pytest.param("filesystem:///var/spool", Broker("filesystem", "", 0), id="a-path"),
    ],
)
def test_a_broker_is_told_without_a_credential(url: str, broker: Broker):
    app = Celery(broker=url, set_as_current=False)
    assert Brokers().of(app)[0] == broker


def test_an_app_is_looked_at_once_and_each_for_itself():
    one = Celery(broker="memory://", set_as_current=False)
    two = Celery(broker="redis://host", set_as_current=False)
    brokers = Brokers()
    first = brokers.of(one)
    assert brokers.of(two)[0].system == "redis"
    assert [known is again for known, again in zip(first, brokers.of(one), strict=True)] == [
        True,
        True,
    ]


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise KeyError("x")


class Odd(Exception):
    """Says something else than text."""

    def __str__(self) -> Any:
        return 7


@pytest.mark.parametrize(
    ("exc", "failure"),
    [
        pytest.param(
            ValueError("bad"), Failure("ValueError", "builtins.ValueError", "bad", "tb"), id="plain"
        ),
        pytest.param(
            Mute(), Failure("Mute", f"{__name__}.Mute", "<Mute: str() raised KeyError>", "tb"),
            id="raises",
        ),
        pytest.param(
            Odd(), Failure("Odd", f"{__name__}.Odd", "<Odd: str() raised TypeError>", "tb"),
            id="says-no-text",
        ),
    ],
)  # fmt: skip
def test_any_exception_becomes_text(exc: Exception, failure: Failure):
    """Its own code may fail; the delivery is told all the same."""
    assert failure_of(exc, "tb") == failure
