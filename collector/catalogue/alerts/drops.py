"""Are messages thrown away before their task runs?"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.promql import QUEUE, STATE, TASK, growth, select
from collector.catalogue.recording import ALIVE
from collector.catalogue.rules import APPLICATION, COUNT, WARNING, Alert, Case, of, sample
from otel_celery import conventions as c

_A = {"job": "shop", "instance": "celery@a"}
_UP = {sample(c.WORKER_HEARTBEAT, **_A): "0+15x240"}
_T, _ST = of(TASK), of(STATE)


def _outcomes(state: str, values: str, task: str = "shop.pay", error: str = "") -> dict[str, str]:
    points = {c.QUEUE: "orders", c.TASK_NAME: task, c.TASK_STATE: state}
    if error:
        points[c.ERROR_TYPE] = error
    return {sample(c.OUTCOMES, points, **_A): values}


_UNKNOWN = select(c.OUTCOMES, {c.TASK_STATE: f'=~"{c.UNKNOWN}|{c.INVALID}"'})
_REJECTED = select(c.OUTCOMES, {c.TASK_STATE: f'="{c.REJECTED}"'})
_EXPIRED = select(c.OUTCOMES, {c.TASK_STATE: f'="{c.EXPIRED}"'})

ALERTS = (
    Alert(
        "CeleryTaskUnknown",
        f"{growth(_UNKNOWN, '10m', f'{QUEUE}, {STATE}', ALIVE)} > 0.5",
        "0s",
        WARNING,
        APPLICATION,
        f"{COUNT} messages of {of(QUEUE)} were dropped as {_ST} in 10 minutes",
        "`unknown`: no task of that name is registered in the worker. `invalid`: the message could"
        " not be read. Celery discards both.",
        (
            Case(
                "a publisher is newer than the worker",
                {**_UP, **_outcomes("unknown", "_x60 3x40", task="_OTHER", error="NotRegistered")},
                at="16m",
                fires=(
                    (
                        {QUEUE: "orders", STATE: "unknown"},
                        "3 messages of orders were dropped as unknown in 10 minutes",
                    ),
                ),
            ),
            Case("it was long ago", {**_UP, **_outcomes("unknown", "3x120", task="_OTHER")}),
        ),
    ),
    Alert(
        "CeleryTaskRejected",
        f"{growth(_REJECTED, '1h', TASK, ALIVE)} > {limit.REJECTED_PER_HOUR + 0.5}",
        "0s",
        WARNING,
        APPLICATION,
        f"{_T}: {COUNT} deliveries rejected in an hour",
        "RabbitMQ moves them to the dead letter exchange if there is one; Redis drops them.",
        (
            Case(
                "two a minute and more",
                {**_UP, **_outcomes("rejected", "0+1x240")},
                at="1h",
                fires=(({TASK: "shop.pay"}, "shop.pay: 240 deliveries rejected in an hour"),),
            ),
            Case("one a minute and less", {**_UP, **_outcomes("rejected", "0x120 50x120")}, "1h"),
            Case("a hundred", {**_UP, **_outcomes("rejected", "900x120 1000x120")}, "1h"),
        ),
    ),
    Alert(
        "CeleryTaskExpired",
        f"{growth(_EXPIRED, '15m', TASK, ALIVE)} > {limit.VOLUME + 0.5}",
        "0s",
        WARNING,
        APPLICATION,
        f"{_T}: {COUNT} expired before they began, in 15 minutes",
        "They waited longer than their `expires` allows. RabbitMQ drops some of its own accord;"
        " those show in the ledger of the queue only.",
        (
            Case(
                "a backlog outlives its messages",
                {**_UP, **_outcomes("expired", "0+1x120")},
                at="20m",
                fires=(
                    ({TASK: "shop.pay"}, "shop.pay: 60 expired before they began, in 15 minutes"),
                ),
            ),
            Case("one now and then", {**_UP, **_outcomes("expired", "0x60 5x60")}),
            Case("twenty", {**_UP, **_outcomes("expired", "90x60 110x60")}),
        ),
    ),
)
