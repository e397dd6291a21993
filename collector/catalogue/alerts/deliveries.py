"""Is each message sent, delivered once, and accounted for?"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.names import label, series
from collector.catalogue.promql import JOB, QUEUE, WORKER, select
from collector.catalogue.rules import (
    COUNT,
    CRITICAL,
    DURATION,
    OPERATIONS,
    PERCENT,
    TELEMETRY,
    WARNING,
    Alert,
    Case,
    of,
    sample,
)
from otel_celery import conventions as c

_A = {"job": "shop", "instance": "celery@a"}
_B = {"job": "shop", "instance": "celery@b"}
_NIGHT = {"job": "batch", "instance": "celery@night"}
_UP = {sample(c.WORKER_HEARTBEAT, **_A): "0+15x300"}
_Q = of(QUEUE)
_READ = select(c.QUEUE_DEPTH, {c.QUEUE_STATE: '="ready"'})
_ORDERS = {QUEUE: "orders"}

_SENT_FAILED = select(c.SENT_MESSAGES, {c.ERROR_TYPE: '!=""'})
_SENT = select(c.SENT_MESSAGES, {c.ERROR_TYPE: '=""'})
_AGAIN = select(c.CONSUMED_MESSAGES, {c.TASK_REDELIVERED: '="true"'})
_CONSUMED = select(c.CONSUMED_MESSAGES)
_PROBES = series(c.PROBE_DURATION)
_ERROR = label(c.ERROR_TYPE)
_SYSTEM = label(c.MESSAGING_SYSTEM)
_WEB = {"job": "web", "instance": "7a0c"}


def _sent(values: str, **error: str) -> dict[str, str]:
    points = {c.QUEUE: "orders", c.TASK_NAME: "shop.pay"}
    if error:
        points[c.ERROR_TYPE] = error["error"]
    return {sample(c.SENT_MESSAGES, points, **_WEB): values}


def _received(values: str, again: bool = False) -> dict[str, str]:
    points = {c.QUEUE: "orders", **({c.TASK_REDELIVERED: "true"} if again else {})}
    return {sample(c.CONSUMED_MESSAGES, points, **_A): values}


def _depth(values: str, worker: dict[str, str] = _A) -> dict[str, str]:
    return {sample(c.QUEUE_DEPTH, {c.QUEUE: "orders", c.QUEUE_STATE: "ready"}, **worker): values}


def _night(values: str) -> dict[str, str]:
    return {sample(c.WORKER_HEARTBEAT, **_NIGHT): values}


ALERTS = (
    Alert(
        "CeleryVisibilityTimeoutNear",
        f"max by ({_SYSTEM}) ({select(c.OLDEST_UNACKED)}) > {0.8 * limit.VISIBILITY_TIMEOUT:g}",
        "1m",
        WARNING,
        OPERATIONS,
        f"A delivery of {of(_SYSTEM)} has been unacknowledged for {DURATION}",
        f"At {limit.VISIBILITY_TIMEOUT} s, the visibility timeout, the broker delivers it once"
        " more, to another worker, while the first still has it.",
        (
            Case(
                "fifty minutes",
                {sample(c.OLDEST_UNACKED, {c.MESSAGING_SYSTEM: "redis"}, **_A): "3000x120"},
                fires=(
                    (
                        {_SYSTEM: "redis"},
                        "A delivery of redis has been unacknowledged for 50m 0s",
                    ),
                ),
            ),
            Case(
                "ten minutes",
                {sample(c.OLDEST_UNACKED, {c.MESSAGING_SYSTEM: "redis"}, **_A): "600x120"},
            ),
        ),
    ),
    Alert(
        "CeleryRedeliveries",
        f"sum by ({QUEUE}) (increase({_AGAIN}[10m]))\n"
        f"/ on ({QUEUE}) (sum by ({QUEUE}) (increase({_CONSUMED}[10m])) >= {limit.VOLUME}) > 0.05",
        "10m",
        WARNING,
        OPERATIONS,
        f"{_Q}: {PERCENT} of the deliveries are repeated ones",
        "The same message came again: its worker died or lost the broker, or the visibility"
        " timeout passed. Tasks may have run twice.",
        (
            Case(
                "one in five",
                {**_received("0+8x120"), **_received("0+2x120", again=True)},
                at="25m",
                fires=((_ORDERS, "orders: 20% of the deliveries are repeated ones"),),
            ),
            Case(
                "a worker was restarted",
                {**_received("0+8x120"), **_received("_x40 4x80", again=True)},
            ),
        ),
    ),
    Alert(
        "CeleryPublishFailing",
        f"sum by ({JOB}, {QUEUE}, {_ERROR}) (\n"
        f"  ({_SENT_FAILED} unless {_SENT_FAILED} offset 5m)"
        f" and on ({WORKER}) {_SENT} offset 5m\n"
        f"  or increase({_SENT_FAILED}[5m])\n"
        f") >= 3",
        "1m",
        CRITICAL,
        OPERATIONS,
        f"{of(JOB)}: {COUNT} messages to {_Q} were not sent in 5 minutes ({of(_ERROR)})",
        "The caller got the exception; what it did not catch or send again is lost.",
        (
            Case(
                "the broker does not answer",
                {**_sent("100x120"), **_sent("_x60 0+1x60", error="OperationalError")},
                at="20m",
                fires=(
                    (
                        {JOB: "web", QUEUE: "orders", _ERROR: "OperationalError"},
                        "web: 20 messages to orders were not sent in 5 minutes (OperationalError)",
                    ),
                ),
            ),
            Case(
                "one, once",
                {**_sent("0+9x120"), **_sent("_x60 1x60", error="OperationalError")},
                at="17m",
            ),
        ),
    ),
    Alert(
        "CeleryQueueUnread",
        f"count by ({QUEUE}) (\n"
        f"  count by ({JOB}, {QUEUE}) (last_over_time({_READ}[1h]))\n"
        f"  and on ({JOB}) celery:workers_online > 0\n"
        f")\n"
        f"unless on ({QUEUE}) celery:queue_depth",
        "10m",
        WARNING,
        TELEMETRY,
        f"{_Q}: its depth is not known any more",
        "It was read within the last hour, by a service of which workers are online. Alerts about"
        " this queue are blind. Nobody may be reading it, or the broker refuses.",
        (
            Case(
                "the reader was refused",
                {**_UP, **_depth("3x40 stale")},
                at="25m",
                fires=((_ORDERS, "orders: its depth is not known any more"),),
            ),
            Case("it is read", {**_UP, **_depth("3x120")}, at="25m"),
            Case("no worker is there to read it", _depth("3x40 stale"), at="25m"),
            Case(
                "a service scales to none, another goes on",
                {**_UP, **_night("0+15x40 stale"), **_depth("3x40 stale", _NIGHT)},
                at="25m",
            ),
        ),
    ),
    Alert(
        "CeleryQueueProbeFailing",
        f"sum by ({_ERROR}) (\n"
        f'  rate({_PROBES}_count{{{_ERROR}!=""}}[5m])\n'
        f'  or histogram_count(rate({_PROBES}{{{_ERROR}!=""}}[5m]))\n'
        f") > 0\n"
        f"unless on () (\n"
        f'  sum(rate({_PROBES}_count{{{_ERROR}=""}}[5m])) > 0\n'
        f'  or histogram_count(sum(rate({_PROBES}{{{_ERROR}=""}}[5m]))) > 0\n'
        f")",
        "5m",
        WARNING,
        TELEMETRY,
        f"The broker's queues cannot be read: {of(_ERROR)}",
        "Each reading of the last five minutes failed. Depths and ages are absent, not zero.",
        (
            Case(
                "each one is refused",
                {
                    sample(
                        c.PROBE_DURATION, {c.ERROR_TYPE: "ResponseError"}, "_count", **_A
                    ): "0+1x120"
                },
                fires=(
                    (
                        {_ERROR: "ResponseError"},
                        "The broker's queues cannot be read: ResponseError",
                    ),
                ),
            ),
            Case(
                "one worker of two can read",
                {
                    sample(
                        c.PROBE_DURATION, {c.ERROR_TYPE: "ResponseError"}, "_count", **_A
                    ): "0+1x120",
                    sample(c.PROBE_DURATION, {}, "_count", **_B): "0+1x120",
                },
            ),
        ),
    ),
    Alert(
        "CeleryQueueLedgerOpen",
        f"abs(celery:ledger_queue:difference)\n"
        f"> on ({QUEUE}) clamp_min(0.01 * 3600 * avg_over_time(celery:queue_sent_rate[1h]), 20)",
        "30m",
        WARNING,
        TELEMETRY,
        f"{_Q}: sent and received differ by {COUNT} messages",
        "In the last hour: messages were sent and neither received nor ready, so lost or expired"
        " in the broker; or received without having been sent by anybody who counts.",
        (
            Case(
                "a third vanishes",
                {**_sent("0+30x600"), **_received("0+20x600"), **_depth("0x600")},
                at="2h",
                fires=((_ORDERS, "orders: sent and received differ by 2400 messages"),),
            ),
            Case(
                "all arrive, or are ready",
                {**_sent("0+3x600"), **_received("0+2x600"), **_depth("0+1x600")},
                at="2h",
            ),
            Case(
                "otel-celery comes to workers with a backlog of ten thousand",
                {
                    **_sent("_x300 0+3x300"),
                    **_received("_x300 0+3x300"),
                    **_depth("_x300 10000x300"),
                },
                at="2h10m",
            ),
            Case(
                "Prometheus was away for fifty minutes: what was counted before is not new",
                {
                    **_sent("9000+3x300 _x200 10500+3x200"),
                    **_received("2000+3x300 _x200 3500+3x200"),
                    **_depth("0x300 _x200 0x200"),
                },
                at="2h50m",
            ),
        ),
    ),
)
