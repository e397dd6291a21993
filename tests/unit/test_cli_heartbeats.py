"""When were workers heard that do not speak for themselves?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from otel_celery import conventions as c
from otel_celery.cli.heartbeats import Heartbeats
from otel_celery.errors import ConfigError
from otel_celery.guard import Guard
from tests.waiting import eventually

NOW = 1_800_000_000.0
OLD, OTHER = "old@host", "other@host"


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heartbeats(app: Celery, clock: Clock) -> Iterator[Heartbeats]:
    made = Heartbeats(app, [OLD, OTHER], "shop", Guard(), clock)
    yield made
    for metering in made.meterings:
        metering.provider.shutdown()


def exported(heartbeats: Heartbeats) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield resource and value of each point that would be exported."""
    for metering in heartbeats.meterings:
        (reader,) = metering.pushed
        reader.read()
        for resource in reader._read.resource_metrics if reader._read else ():
            (point,) = resource.scope_metrics[0].metrics[0].data.data_points
            assert point.attributes == {}
            yield dict(resource.resource.attributes), point.value


def told(heartbeats: Heartbeats) -> dict[str, float]:
    """Return what would be exported, by instance."""
    return {resource["service.instance.id"]: value for resource, value in exported(heartbeats)}


def test_a_worker_is_an_instance_of_its_own(heartbeats: Heartbeats):
    """With the resource of one that is instrumented."""
    heartbeats.on_event({"hostname": OLD})
    ((resource, _),) = exported(heartbeats)
    expected = {
        "service.name": "shop",
        "service.instance.id": OLD,
        c.WORKER_NAME: OLD,
        "host.name": "host",
    }
    assert {key: resource[key] for key in expected} == expected


def test_each_has_the_time_at_which_it_was_heard_by_our_clock(heartbeats: Heartbeats, clock: Clock):
    """One that was never heard has none, one that nobody asked for is not told."""
    assert told(heartbeats) == {}
    for name in (OLD, "stranger@host"):
        heartbeats.on_event({"hostname": name, "timestamp": 5.0})
    clock.now += 7
    assert told(heartbeats) == {OLD: NOW}


def test_a_worker_that_has_stopped_or_fallen_silent_has_none(heartbeats: Heartbeats, clock: Clock):
    for name in (OLD, OTHER):
        heartbeats.on_event({"hostname": name})
    heartbeats.on_offline({"hostname": OLD})
    clock.now += 59
    assert told(heartbeats) == {OTHER: NOW}
    clock.now += 1
    assert told(heartbeats) == {}


def test_one_port_of_prometheus_cannot_be_many_instances(
    app: Celery, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    with pytest.raises(ConfigError, match="heartbeats need OTLP"):
        Heartbeats(app, [OLD], "shop", Guard())


def test_a_broker_that_is_away_is_tried_again(
    app: Celery, monkeypatch: pytest.MonkeyPatch, clock: Clock
):
    """And is no fault of ours."""
    monkeypatch.setattr("otel_celery.cli.heartbeats._AGAIN", 0.01)
    attempts: list[Any] = []

    def receiver(*arguments: Any, **options: Any) -> Any:
        attempts.append(options["routing_key"])
        raise OperationalError("gone")

    guard = Guard()
    monkeypatch.setattr(app.events, "Receiver", receiver)
    heartbeats = Heartbeats(app, [], "shop", guard, clock)
    heartbeats.start()
    eventually(lambda: len(attempts) >= 3)
    heartbeats.stop()
    assert (set(attempts), guard.faults) == ({"worker.#"}, {})
