"""What do the recording rules answer in four situations?

Each situation asks every rule: one that is not named in `gives` must have no answer, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.catalogue.promql import DEPTH, ERROR, QUEUE, STATE, TASK
from collector.catalogue.rules import Labels, sample
from otel_celery import conventions as c

Answers = Sequence[tuple[Labels, float]]


@dataclass(frozen=True)
class Situation:
    """Samples of processes, and the answers of all rules twenty minutes after the first."""

    says: str
    given: Mapping[str, str]
    gives: Mapping[str, Answers]


_A = {"job": "shop", "instance": "celery@a"}
_B = {"job": "shop", "instance": "celery@b"}
_WEB = {"job": "web", "instance": "7a0c"}
_T, _Q = {TASK: "shop.payment"}, {QUEUE: "orders"}
_POINT = {c.QUEUE: "orders", c.TASK_NAME: "shop.payment"}
_ENDS = {
    c.SUCCESS: ("", 18),
    c.FAILURE: ("KeyError", 6),
    c.TIMEOUT: ("TimeLimitExceeded", 3),
    c.RETRY: ("Timeout", 3),
}


def _outcomes(grows: bool) -> dict[str, str]:
    found = {}
    for state, (error, amount) in _ENDS.items():
        points = {**_POINT, c.TASK_STATE: state, **({c.ERROR_TYPE: error} if error else {})}
        found[sample(c.OUTCOMES, points, **_A)] = f"0+{amount if grows else 0}x200"
    return found


def _buckets(metric: c.Metric, bounds: Mapping[str, int], total: int) -> dict[str, str]:
    amounts = {**bounds, "+Inf": 30}
    return {
        **{
            sample(metric, _POINT, "_bucket", **_A, le=bound): f"0+{amount}x200"
            for bound, amount in amounts.items()
        },
        sample(metric, _POINT, "_count", **_A): "0+30x200",
        sample(metric, _POINT, "_sum", **_A): f"0+{total}x200",
    }


def _gauges(active: int, ready: int) -> dict[str, str]:
    depth = {c.QUEUE: "orders", c.QUEUE_STATE: "ready"}
    held = {"active": active, "reserved": 1, "scheduled": 3}
    return {
        sample(c.WORKER_HEARTBEAT, **_A): "0+15x200",
        sample(c.WORKER_HEARTBEAT, **_B): "0x200",
        **{sample(c.TASK_COUNT, {c.HELD_STATE: s}, **_A): f"{n}x200" for s, n in held.items()},
        sample(c.POOL_LIMIT, {c.POOL_TYPE: "prefork"}, **_A): "4x200",
        sample(c.QUEUE_CONSUMING, {c.QUEUE: "orders"}, **_A): "1x200",
        sample(c.QUEUE_CONSUMING, {c.QUEUE: "orders"}, **_B): "1x200",
        # Read by both for a moment: the same messages, not twice as many.
        sample(c.QUEUE_DEPTH, depth, **_A): f"{ready}x200",
        sample(c.QUEUE_DEPTH, depth, **_B): f"{ready}x200",
        sample(c.QUEUE_DEPTH, {c.QUEUE_STATE: "unacked"}, **_A): "4x200",
        sample(c.OLDEST_MESSAGE, {c.QUEUE: "orders"}, **_A): f"{7 if ready else 0}x200",
    }


def _rest(cpu: str, consumed: str, sent: str) -> dict[str, str]:
    return {
        sample(c.WORKER_CPU, **_A): cpu,
        sample(c.WORKER_MEMORY, **_A): "5e8x200",
        sample(c.WORKER_MEMORY_LIMIT, **_A): "1e9x200",
        sample(c.CONSUMED_MESSAGES, {c.QUEUE: "orders"}, **_A): consumed,
        sample(c.SENT_MESSAGES, _POINT, **_WEB): sent,
        sample(c.BEAT_HEARTBEAT, job="beat", instance="93fe"): "0+15x200",
    }


def _by_state(*values: float) -> Answers:
    return [({**_T, STATE: state}, value) for state, value in zip(_ENDS, values, strict=True)]


def _slo(task: float, key: float, queue: float) -> Answers:
    return [
        ({"slo": "task-success", **_T}, task),
        ({"slo": "critical-task-success", **_T}, key),
        ({"slo": "queue-wait", **_Q}, queue),
    ]


_BUDGET: Answers = [
    ({"slo": "task-success"}, 0.01),
    ({"slo": "critical-task-success"}, 0.001),
    ({"slo": "queue-wait"}, 0.05),
]
_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
_ALWAYS: dict[str, Answers] = {
    "celery:worker_heartbeat_age:seconds": [(_A, 0), (_B, 1200)],
    "celery:workers_online": [({"job": "shop"}, 1)],
    "celery:workers_expected": [({"job": "shop"}, 0.5)],
    "celery:worker_memory_ratio": [(_A, 0.5)],
    "celery:beat_heartbeat_age:seconds": [({"job": "beat", "instance": "93fe"}, 0)],
    "celery:queue_consumers": [(_Q, 1)],
    "celery:slo_budget": _BUDGET,
}

BUSY = Situation(
    "two tasks a second, one in five fails; one worker of two is hung",
    {
        **_outcomes(grows=True),
        **_buckets(c.PROCESS_DURATION, {"1.0": 15, "5.0": 30}, 60),
        **_buckets(c.QUEUE_WAIT, {"1.0": 15, "60.0": 15, "300.0": 30}, 300),
        **_gauges(2, 20),
        **_rest("0+30x200", "6+30x200", "26+30x200"),
        sample(c.OLDEST_ACTIVE, {c.TASK_NAME: "shop.payment"}, **_A): "5x200",
    },
    {
        **_ALWAYS,
        "celery:task_rate": [(_T, 2)],
        "celery:outcome_rate": _by_state(1.2, 0.4, 0.2, 0.2),
        "celery:outcome_ratio": _by_state(0.6, 0.2, 0.1, 0.1),
        "celery:failure_ratio": [(_T, 0.3)],
        "celery:success_ratio": [(_T, 2 / 3)],
        "celery:timeout_ratio": [(_T, 0.1)],
        "celery:duration:p50": [(_T, 1)],
        "celery:duration:p95": [(_T, 4.6)],
        "celery:duration:p99": [(_T, 4.92)],
        "celery:duration:mean": [(_T, 2)],
        "celery:duration:longest_p99": [(_T, 4.92)],
        "celery:oldest_active:seconds": [(_T, 5)],
        "celery:error_rate": [
            ({**_T, STATE: state, ERROR: error}, amount / 15)
            for state, (error, amount) in _ENDS.items()
            if error
        ],
        "celery:worker_saturation": [(_A, 0.5)],
        "celery:worker_cpu:cores": [(_A, 2)],
        "celery:worker_cpu_ratio": [(_A, 0.5)],
        "celery:ledger_worker:difference": [(_A, 0)],
        "celery:queue_depth": [({**_Q, DEPTH: "ready"}, 20), ({DEPTH: "unacked"}, 4)],
        "celery:queue_oldest_age:seconds": [(_Q, 7)],
        "celery:wait:p95": [(_Q, 276)],
        "celery:queue_sent_rate": [(_Q, 2)],
        "celery:queue_done_rate": [(_Q, 2)],
        "celery:queue_drain:seconds": [(_Q, 10)],
        "celery:slo_all:rate5m": _slo(1.8, 1.8, 2),
        "celery:slo_bad:rate5m": _slo(0.6, 0.6, 1),
        **{f"celery:slo_burn:{w}": _slo(100 / 3, 1000 / 3, 10) for w in _WINDOWS},
    },
)

QUIET = Situation(
    "nothing happens: no ratio, no quantile, and a queue that is drained",
    {
        **_outcomes(grows=False),
        sample(c.PROCESS_DURATION, _POINT, "_bucket", **_A, le="+Inf"): "9x200",
        sample(c.PROCESS_DURATION, _POINT, "_count", **_A): "9x200",
        sample(c.PROCESS_DURATION, _POINT, "_sum", **_A): "9x200",
        **_gauges(0, 0),
        **_rest("9x200", "7x200", "4x200"),
    },
    {
        **_ALWAYS,
        "celery:task_rate": [(_T, 0)],
        "celery:outcome_rate": _by_state(0, 0, 0, 0),
        "celery:error_rate": [
            ({**_T, STATE: state, ERROR: error}, 0) for state, (error, _) in _ENDS.items() if error
        ],
        "celery:worker_saturation": [(_A, 0)],
        "celery:worker_cpu:cores": [(_A, 0)],
        "celery:worker_cpu_ratio": [(_A, 0)],
        "celery:ledger_worker:difference": [(_A, 3)],  # 7 received, none ended, 4 held
        "celery:queue_depth": [({**_Q, DEPTH: "ready"}, 0), ({DEPTH: "unacked"}, 4)],
        "celery:queue_oldest_age:seconds": [(_Q, 0)],
        "celery:queue_sent_rate": [(_Q, 0)],
        "celery:queue_done_rate": [(_Q, 0)],
        "celery:queue_drain:seconds": [(_Q, 0)],
        "celery:slo_all:rate5m": _slo(0, 0, 0)[:2],
        "celery:slo_bad:rate5m": _slo(0, 0, 0)[:2],
    },
)

NOTHING = Situation(
    "no sample of ours at all: no rule makes up a number",
    {"up": "1x200"},
    {"celery:slo_budget": _BUDGET},
)

_NATIVE = "{{schema:0 sum:0 count:0 buckets:[0 0]}}+{{schema:0 sum:60 count:30 buckets:[0 30]}}x200"

NATIVE = Situation(
    "exponential histograms, which have no buckets, no count and no sum of their own",
    {
        sample(c.PROCESS_DURATION, _POINT, **_A): _NATIVE,
        sample(c.QUEUE_WAIT, _POINT, **_A): _NATIVE,
    },
    {
        "celery:slo_budget": _BUDGET,
        "celery:task_rate": [(_T, 2)],
        "celery:duration:p50": [(_T, 2**0.5)],
        "celery:duration:p95": [(_T, 2**0.95)],
        "celery:duration:p99": [(_T, 2**0.99)],
        "celery:duration:longest_p99": [(_T, 2**0.99)],
        "celery:duration:mean": [(_T, 2)],
        "celery:wait:p95": [(_Q, 2**0.95)],
        "celery:slo_all:rate5m": _slo(0, 0, 2)[2:],
        "celery:slo_bad:rate5m": _slo(0, 0, 0)[2:],
        **{f"celery:slo_burn:{w}": _slo(0, 0, 0)[2:] for w in _WINDOWS},
    },
)

SITUATIONS = (BUSY, QUIET, NOTHING, NATIVE)

ELSEWHERE = {
    "celery:oldest_active:longest": "CeleryTaskRunsTooLong",
    "celery:ledger_queue:difference": "CeleryQueueLedgerOpen",
}
"""Rules whose answer needs an hour or days: the alert in whose cases they are asked."""
