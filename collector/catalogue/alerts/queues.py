"""Do messages get to a worker, in time and once?"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.promql import DEPTH, QUEUE, WORKER, select
from collector.catalogue.rules import (
    CRITICAL,
    DURATION,
    INFO,
    OPERATIONS,
    VALUE,
    WARNING,
    Alert,
    Case,
    of,
    sample,
)  # fmt: skip
from otel_celery import conventions as c

_A = {"job": "shop", "instance": "celery@a"}
_B = {"job": "shop", "instance": "celery@b"}
_UP = {sample(c.WORKER_HEARTBEAT, **_A): "0+15x300"}
_CONSUMING = {**_UP, sample(c.QUEUE_CONSUMING, {c.QUEUE: "orders"}, **_A): "1x300"}
_Q = of(QUEUE)
_ORDERS = {QUEUE: "orders"}
_READY_ORDERS = {**_ORDERS, DEPTH: "ready"}
_WORKED_OFF = f'{QUEUE}!~"{limit.DEAD_LETTERS}"'  # dead letters wait for people
_READY = f'celery:queue_depth{{{DEPTH}="ready", {_WORKED_OFF}}}'
_WAIT = f"celery:wait:p95{{{_WORKED_OFF}}}"
_AGE = f"celery:queue_oldest_age:seconds{{{_WORKED_OFF}}}"


def _depth(values: str, queue: str = "orders", worker: dict[str, str] = _A) -> dict[str, str]:
    return {sample(c.QUEUE_DEPTH, {c.QUEUE: queue, c.QUEUE_STATE: "ready"}, **worker): values}


def _age(values: str, queue: str = "orders") -> dict[str, str]:
    return {sample(c.OLDEST_MESSAGE, {c.QUEUE: queue}, **_A): values}


def _done(values: str) -> dict[str, str]:
    points = {c.QUEUE: "orders", c.TASK_NAME: "shop.pay", c.TASK_STATE: "success"}
    return {sample(c.OUTCOMES, points, **_A): values}


def _waits(quick: str, all_: str, queue: str = "orders") -> dict[str, str]:
    points = {c.QUEUE: queue, c.TASK_NAME: "shop.pay"}
    return {
        sample(c.QUEUE_WAIT, points, "_bucket", **_A, le="60.0"): quick,
        sample(c.QUEUE_WAIT, points, "_bucket", **_A, le="300.0"): all_,
        sample(c.QUEUE_WAIT, points, "_bucket", **_A, le="+Inf"): all_,
    }


def _above(row: limit.Depth) -> str:
    """Return one row of the table as a query."""
    named = "|".join((*limit.NAMED_QUEUES, limit.DEAD_LETTERS))
    which = f'!~"{named}"' if row.queue == limit.OTHER_QUEUES else f'=~"{row.queue}"'
    return f'celery:queue_depth{{{DEPTH}="ready", {QUEUE}{which}}} > {row.above}'


def _deep(severity: str, cases: tuple[Case, ...]) -> Alert:
    return Alert(
        "CeleryQueueDepthHigh",
        "\nor ".join(_above(row) for row in limit.DEPTHS if row.severity == severity),
        "10m",
        severity,
        OPERATIONS,
        f"{_Q}: {VALUE} messages are ready",
        "More than the queue may hold for ten minutes. Queues have thresholds of their own in"
        " DEPTHS of the thresholds.",
        cases,
    )


_DEPTH_CASES = (
    Case(
        "200 in a queue without a row: to be seen",
        _depth("200x120"),
        fires=(({**_READY_ORDERS, "severity": INFO}, "orders: 200 messages are ready"),),
    ),
    Case(
        "6000: each step of the table",
        _depth("6000x120"),
        fires=tuple(
            ({**_READY_ORDERS, "severity": severity}, "orders: 6k messages are ready")
            for severity in (INFO, WARNING, CRITICAL)
        ),
    ),
    Case(
        "200 in the queue `critical`, which has a row of its own",
        _depth("200x120", "critical"),
        fires=(
            (
                {QUEUE: "critical", DEPTH: "ready", "severity": CRITICAL},
                "critical: 200 messages are ready",
            ),
        ),
    ),
    Case("2000 in the queue `default`, which may hold 5000", _depth("2000x120", "default")),
    Case(
        "200 in a queue of dead letters",
        _depth("200x120", "orders.dlq"),
        fires=(
            (
                {QUEUE: "orders.dlq", DEPTH: "ready", "severity": WARNING},
                "orders.dlq: 200 messages are ready",
            ),
        ),
    ),
    Case(
        "two workers read the same 60 messages: not 120",
        {**_depth("60x120"), **_depth("60x120", worker=_B)},
    ),
    Case("a burst of five minutes", _depth("0x40 6000x20 0x60"), at="16m"),
)

_STARTS_UNKNOWN = f"unless on ({QUEUE}) {_WAIT} <= {limit.WAIT_SECONDS}"
ALERTS = (
    _deep(INFO, _DEPTH_CASES),
    _deep(WARNING, ()),
    _deep(CRITICAL, ()),
    Alert(
        "CeleryQueueGrowing",
        f"deriv({_READY}[10m]) > {limit.GROWTH_PER_SECOND}",
        "10m",
        WARNING,
        OPERATIONS,
        f"{_Q} grows by {VALUE} messages a second",
        "More is sent than workers take, and has been for ten minutes.",
        (
            Case(
                "twenty a second",
                _depth("0+300x120"),
                at="30m",
                fires=((_READY_ORDERS, "orders grows by 20 messages a second"),),
            ),
            Case("one a second", _depth("0+15x120"), at="30m"),
            Case("one jump of 10,000", _depth("0x40 10000x80"), at="25m"),
            Case("dead letters", _depth("0+300x120", "orders.dlq"), at="30m"),
        ),
    ),
    Alert(
        "CeleryQueueWaitHigh",
        "(\n"
        f"  {_WAIT} > {limit.WAIT_SECONDS}\n"
        f"  unless on ({QUEUE}) {_AGE} <= {limit.WAIT_SECONDS}\n"
        ")\n"
        "or (\n"
        f"  {_AGE} > {limit.WAIT_SECONDS}\n"
        f"  {_STARTS_UNKNOWN}\n"
        ")",
        "10m",
        WARNING,
        OPERATIONS,
        f"{_Q}: tasks wait {DURATION} before they begin",
        "One in twenty of those that began had been due so long, and the head of the queue is no"
        " younger; or nothing began, and only the head is known.",
        (
            Case(
                "most wait for minutes, and still do",
                {**_waits("0+2x120", "0+10x120"), **_age("200x120")},
                fires=((_ORDERS, "orders: tasks wait 4m 45s before they begin"),),
            ),
            Case(
                "nothing begins, and the head grows old",
                _age("0+15x120"),
                at="20m",
                fires=((_ORDERS, "orders: tasks wait 20m 0s before they begin"),),
            ),
            Case(
                "a broker that does not tell the age of its head",
                _waits("0+2x120", "0+10x120"),
                fires=((_ORDERS, "orders: tasks wait 4m 45s before they begin"),),
            ),
            Case(
                "they waited, and the queue is empty now",
                {**_waits("0+2x120", "0+10x120"), **_age("0x120")},
            ),
            Case(
                "one old message of low priority, the others begin at once",
                {**_waits("0+10x120", "0+10x120"), **_age("0+15x120")},
            ),
            Case("a dead letter, which nothing begins", _age("0+15x120", "orders.dlq")),
            Case(
                "dead letters that somebody works off",
                {**_waits("0+2x120", "0+10x120", "orders.dlq"), **_age("200x120", "orders.dlq")},
            ),
        ),
    ),
    Alert(
        "CeleryQueueStalled",
        f"{_AGE} > {limit.STALLED_SECONDS}\n"
        f"unless on ({QUEUE}) celery:queue_done_rate > 0\n"
        f"unless on ({QUEUE}) (\n"
        f"  {select(c.QUEUE_CONSUMING)} == 1 and on ({WORKER}) celery:worker_saturation >= 1\n"
        f")",
        "5m",
        CRITICAL,
        OPERATIONS,
        f"{_Q}: the oldest message waits for {DURATION} and nothing ends",
        "No delivery of this queue ended for five minutes, though its workers have room. A queue"
        " whose workers are all busy is left to CeleryPoolSaturated.",
        (
            Case(
                "workers are there, idle, and nothing moves",
                {**_CONSUMING, **_age("0+15x120"), **_done("7x120")},
                fires=((_ORDERS, "orders: the oldest message waits for 20m 0s and nothing ends"),),
            ),
            Case("the head is old, but work goes on", {**_age("0+15x120"), **_done("0+1x120")}),
            Case(
                "all are busy with long tasks",
                {
                    **_CONSUMING,
                    **_age("0+15x120"),
                    sample(c.TASK_COUNT, {c.HELD_STATE: "active"}, **_A): "4x120",
                    sample(c.POOL_LIMIT, {c.POOL_TYPE: "prefork"}, **_A): "4x120",
                },
            ),
            Case("a dead letter", {**_CONSUMING, **_age("0+15x120", "orders.dlq")}),
        ),
    ),
    Alert(
        "CeleryQueueWithoutConsumers",
        f"sum by ({QUEUE}) ({_READY}) > 0\n"
        f"and on ({QUEUE}) celery:queue_consumers == 0\n"
        f"unless on ({QUEUE}) max by ({QUEUE}) ({select(c.QUEUE_CONSUMERS)}) > 0",
        "5m",
        CRITICAL,
        OPERATIONS,
        f"{_Q}: {VALUE} messages and no worker that consumes it",
        "Neither a live worker nor the broker knows of a consumer. Queues that scale to none are"
        " not told of while they are empty.",
        (
            Case(
                "the worker consumes another queue",
                {
                    **_UP,
                    sample(c.QUEUE_CONSUMING, {c.QUEUE: "mail"}, **_A): "1x120",
                    **_depth("3x120"),
                },
                fires=((_ORDERS, "orders: 3 messages and no worker that consumes it"),),
            ),
            Case("scaled to none, and nothing to do", _depth("0x120")),
            Case("a dead letter", {**_CONSUMING, **_depth("1x120", "orders.dlq")}),
            Case("a worker consumes it", {**_CONSUMING, **_depth("3x120")}),
            Case(
                "workers without otel-celery consume it, as RabbitMQ says",
                {
                    **_depth("3x120"),
                    sample(c.QUEUE_CONSUMERS, {c.QUEUE: "orders"}, **_A): "2x120",
                },
            ),
        ),
    ),
)
