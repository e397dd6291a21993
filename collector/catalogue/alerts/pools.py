"""Do workers have what they need: room, processor, memory?"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.names import label
from collector.catalogue.promql import DEPTH, JOB, QUEUE, WORKER, growth, select
from collector.catalogue.recording import ALIVE
from collector.catalogue.rules import (
    COUNT,
    OPERATIONS,
    PERCENT,
    TELEMETRY,
    VALUE,
    WARNING,
    Alert,
    Case,
    of,
    sample,
)
from otel_celery import conventions as c

_A = {"job": "shop", "instance": "celery@a"}
_UP = {sample(c.WORKER_HEARTBEAT, **_A): "0+15x300"}
_W = f"{of('instance')} of {of('job')}"
_REASON = label(c.EXIT_REASON)
_RESERVED = select(c.TASK_COUNT, {c.HELD_STATE: '="reserved"'})
_READY = f'celery:queue_depth{{{DEPTH}="ready"}}'
_DIED = select(c.PROCESS_EXITS, {c.EXIT_REASON: '=~"signal|error"'})
_LEDGER = "celery:ledger_worker:difference"


def _pool(active: str, size: str = "4x200", kind: str = "prefork") -> dict[str, str]:
    return {
        sample(c.TASK_COUNT, {c.HELD_STATE: "active"}, **_A): active,
        sample(c.POOL_LIMIT, {c.POOL_TYPE: kind}, **_A): size,
    }


def _reserved(values: str) -> dict[str, str]:
    return {sample(c.TASK_COUNT, {c.HELD_STATE: "reserved"}, **_A): values}


def _books(received: str, ended: str) -> dict[str, str]:
    points = {c.QUEUE: "orders", c.TASK_NAME: "shop.pay", c.TASK_STATE: "success"}
    return {
        **_UP,
        sample(c.CONSUMED_MESSAGES, {c.QUEUE: "orders"}, **_A): received,
        sample(c.OUTCOMES, points, **_A): ended,
        **_reserved("2x200"),
    }


ALERTS = (
    Alert(
        "CeleryPoolSaturated",
        f"min by ({JOB}) (celery:worker_saturation) >= 1\n"
        f"and on ({JOB}) (\n"
        f"  max by ({JOB}) (\n"
        f"    {select(c.QUEUE_CONSUMING)}\n"
        f"    * on ({QUEUE}) group_left () sum by ({QUEUE}) ({_READY})\n"
        f"  ) > 0\n"
        f"  or sum by ({JOB}) ({_RESERVED}) > 0\n"
        f")",
        "15m",
        WARNING,
        OPERATIONS,
        f"{of('job')}: each process of each pool is busy, and tasks wait",
        "For a quarter of an hour: more workers or a larger pool would shorten the waiting, if"
        " processor and broker allow.",
        (
            Case(
                "four of four run, ten are ready",
                {
                    **_pool("4x200"),
                    sample(c.QUEUE_CONSUMING, {c.QUEUE: "orders"}, **_A): "1x200",
                    sample(c.QUEUE_DEPTH, {c.QUEUE: "orders", c.QUEUE_STATE: "ready"}, **_A):
                    "10x200",
                },
                at="25m",
                fires=(
                    ({JOB: "shop"},
                     "shop: each process of each pool is busy, and tasks wait"),
                ),
            ),
            Case(
                "a broker that does not tell: tasks are reserved",
                {**_pool("4x200"), **_reserved("4x200")},
                at="25m",
                fires=(
                    ({JOB: "shop"},
                     "shop: each process of each pool is busy, and tasks wait"),
                ),
            ),
            Case("busy, and nothing waits", {**_pool("4x200"), **_reserved("0x200")}, at="25m"),
            Case("three of four run", {**_pool("3x200"), **_reserved("4x200")}, at="25m"),
        ),
    ),
    Alert(
        "CeleryWorkerCPUHigh",
        f"celery:worker_cpu_ratio > {limit.CPU}",
        "10m",
        WARNING,
        OPERATIONS,
        f"{_W} uses {PERCENT} of the processors that its pool can use",
        "One core for each process of a pool of processes; one in all for threads, gevent,"
        " eventlet and solo.",
        (
            Case(
                "two processes, two cores",
                {sample(c.WORKER_CPU, **_A): "0+30x100", **_pool("2x100", "2x100")},
                fires=(
                    (_A,
                     "celery@a of shop uses 100% of the processors that its pool can use"),
                ),
            ),
            Case(
                "a hundred greenlets, one core",
                {sample(c.WORKER_CPU, **_A): "0+15x100", **_pool("9x99", "100x99", "gevent")},
                fires=(
                    (_A,
                     "celery@a of shop uses 100% of the processors that its pool can use"),
                ),
            ),
            Case(
                "two processes, one core",
                {sample(c.WORKER_CPU, **_A): "0+15x100", **_pool("2x100", "2x100")},
            ),
        ),
    ),
    Alert(
        "CeleryWorkerMemoryHigh",
        f"celery:worker_memory_ratio > {limit.MEMORY}",
        "10m",
        WARNING,
        OPERATIONS,
        f"{_W} uses {PERCENT} of the memory that it may use",
        "Of the limit of its control group. At the limit the kernel ends a pool process or the"
        " whole container, which leaves no span and no outcome.",
        (
            Case(
                "900 of 1000 MB",
                {sample(c.WORKER_MEMORY, **_A): "9e8x100",
                 sample(c.WORKER_MEMORY_LIMIT, **_A): "1e9x100"},
                fires=(
                    (_A, "celery@a of shop uses 90% of the memory that it may use"),
                ),
            ),
            Case(
                "half of it",
                {sample(c.WORKER_MEMORY, **_A): "5e8x100",
                 sample(c.WORKER_MEMORY_LIMIT, **_A): "1e9x100"},
            ),
            Case("no limit is known", {sample(c.WORKER_MEMORY, **_A): "9e9x100"}),
        ),
    ),
    Alert(
        "CeleryPoolProcessesDying",
        f"{growth(_DIED, '10m', f'{WORKER}, {_REASON}', ALIVE)} >= 3",
        "0s",
        WARNING,
        OPERATIONS,
        f"{_W}: {COUNT} pool processes ended by {of(_REASON)} in 10 minutes",
        "Not recycled, not by a time limit and not at a stop: killed, out of memory or crashed."
        " Each took its running task with it.",
        (
            Case(
                "four were killed",
                {**_UP, sample(c.PROCESS_EXITS, {c.EXIT_REASON: "signal"}, **_A): "_x60 4x40"},
                at="16m",
                fires=(
                    ({**_A, _REASON: "signal"},
                     "celery@a of shop: 4 pool processes ended by signal in 10 minutes"),
                ),
            ),
            Case(
                "many were recycled",
                {**_UP, sample(c.PROCESS_EXITS, {c.EXIT_REASON: "recycled"}, **_A): "0+1x100"},
                at="16m",
            ),
        ),
    ),
    Alert(
        "CeleryWorkerLedgerOpen",
        f"max_over_time({_LEDGER}[10m]) < 0\nor min_over_time({_LEDGER}[10m]) > 0",
        "5m",
        WARNING,
        TELEMETRY,
        f"{_W}: {VALUE} deliveries are neither ended nor in hand",
        "received = ended + active + reserved + scheduled does not hold for a quarter of an hour:"
        " either Celery forgot a delivery, or otel-celery did not see its end.",
        (
            Case(
                "three vanished",
                _books("0x10 10+1x190", "0x10 5+1x190"),
                at="25m",
                fires=((_A, "celery@a of shop: 3 deliveries are neither ended nor in hand"),),
            ),
            Case("the books agree", _books("0x10 10+1x190", "0x10 8+1x190"), at="25m"),
            Case(
                "a restart: old series stay for a minute",
                _books("100x20 2x4 2+1x180", "98x25 0+1x180"),
                at="25m",
            ),
        ),
    ),
)  # fmt: skip
