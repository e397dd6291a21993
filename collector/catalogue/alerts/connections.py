"""Do the workers reach their broker?"""

from __future__ import annotations

from collector.catalogue.promql import JOB, WORKER, growth, select
from collector.catalogue.recording import ALIVE
from collector.catalogue.rules import COUNT, CRITICAL, OPERATIONS, WARNING, Alert, Case, of, sample
from otel_celery import conventions as c

_A = {"job": "shop", "instance": "celery@a"}
_B = {"job": "shop", "instance": "celery@b"}
_W = f"{of('instance')} of {of('job')}"
_CONNECTED = select(c.BROKER_CONNECTED)


def _up() -> dict[str, str]:
    return {sample(c.WORKER_HEARTBEAT, **_A): "0+15x300"}


def _connected(values: str, worker: dict[str, str] = _A) -> dict[str, str]:
    return {sample(c.BROKER_CONNECTED, **worker): values}


ALERTS = (
    Alert(
        "CeleryBrokerDown",
        f"max by ({JOB}) ({_CONNECTED}) == 0",
        "2m",  # longer than the last word of a stopped worker, "not connected", stays
        CRITICAL,
        OPERATIONS,
        f"{of('job')}: no worker is connected to the broker",
        "All its workers have lost their connection. Alerts about single workers and queues of"
        " this service are held back meanwhile.",
        (
            Case(
                "all lost it",
                {**_connected("1x20 0x40"), **_connected("1x20 0x40", _B)},
                at="8m",
                fires=(({JOB: "shop"}, "shop: no worker is connected to the broker"),),
            ),
            Case(
                "the only worker was stopped",
                _connected("1x20 0x6 stale"),
                at="6m30s",
            ),
            Case("one of two", {**_connected("1x20 0x40"), **_connected("1x60", _B)}, at="8m"),
        ),
    ),
    Alert(
        "CeleryWorkerDisconnected",
        f"max by ({WORKER}) ({_CONNECTED}) == 0\n"
        f"and on ({JOB}) max by ({JOB}) ({_CONNECTED}) == 1",
        "5m",
        WARNING,
        OPERATIONS,
        f"{_W} has no connection to the broker",
        "Others of its service have one: look at its network, its credentials, the broker's limit"
        " of connections.",
        (
            Case(
                "one of two",
                {**_connected("1x20 0x60"), **_connected("1x80", _B)},
                at="14m",
                fires=((_A, "celery@a of shop has no connection to the broker"),),
            ),
            Case("all: that is the broker", _connected("1x20 0x60"), at="14m"),
        ),
    ),
    Alert(
        "CeleryBrokerFlapping",
        f"{growth(select(c.BROKER_RECONNECTIONS), '15m', WORKER, ALIVE)} > 3.5",
        "0s",
        WARNING,
        OPERATIONS,
        f"{_W} lost the broker {COUNT} times in 15 minutes",
        "And found it again each time. Deliveries in hand come once more after each.",
        (
            Case(
                "five times, in a counter that begins at 1",
                {**_up(), sample(c.BROKER_RECONNECTIONS, **_A): "_x70 1 2 3 4 5x40"},
                at="21m",
                fires=((_A, "celery@a of shop lost the broker 5 times in 15 minutes"),),
            ),
            Case(
                "three times",
                {**_up(), sample(c.BROKER_RECONNECTIONS, **_A): "9x70 10 11 12x40"},
                at="21m",
            ),
            Case("once", {**_up(), sample(c.BROKER_RECONNECTIONS, **_A): "_x70 1x40"}, at="21m"),
        ),
    ),
)  # fmt: skip
