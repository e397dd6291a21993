"""What does Flower 2 expose? Read in its `flower/events.py`."""

from __future__ import annotations

from collector.catalogue.migration.old import (
    ACTIVE,
    AGE,
    AS_FLOWER,
    FLOWER_LABELS,
    RAN_WELL,
    RESERVED,
    UP,
    WORKER_A,
    Old,
    ended,
    held,
    histogram,
    renamed,
    states,
)
from collector.catalogue.promql import select
from collector.catalogue.recording import FRESH
from collector.catalogue.rules import Case
from otel_celery import conventions as c

_EVENTS = {
    "task-succeeded": (c.SUCCESS,),
    "task-failed": (c.FAILURE, c.TIMEOUT, c.LOST),
    "task-rejected": (c.REJECTED, c.REQUEUED),
    "task-revoked": (c.REVOKED, c.EXPIRED),
    "task-retried": (c.RETRY,),
}

_WHO = {"worker": FLOWER_LABELS["worker"]}
_RECEIVED = renamed(select(c.CONSUMED_MESSAGES), _WHO)

FLOWER = (
    Old(
        "flower_events_total",
        "worker, type, task",
        "outcomes; consumed messages for task-received",
        "\nor ".join(
            f'label_replace({query}, "type", "{event}", "", "")'
            for event, query in (
                *((event, renamed(states(*how), FLOWER_LABELS)) for event, how in _EVENTS.items()),
                ("task-received", _RECEIVED),
            )
        ),
        "no task for task-received; no task-started, task-sent and worker events",
        ended(c.RETRY, {**AS_FLOWER, "type": "task-retried"}, error="Timeout"),
    ),
    *histogram(
        "flower_task_runtime_seconds", c.PROCESS_DURATION, FLOWER_LABELS, "worker, task",
        "process duration without error", AS_FLOWER, RAN_WELL,
        "other bounds; retries are in it",
    ),
    Old(
        "flower_task_prefetch_time_seconds",
        "worker, task",
        "`celery.task.prefetch_wait` of the process span",
        differs="a gauge of the last task there, so there is no rule",
    ),
    Old(
        "flower_worker_prefetched_tasks",
        "worker, task",
        "tasks held, state `reserved`",
        renamed(RESERVED, _WHO),
        "no task",
        Case("four are held", held("reserved"), "5m", (({**WORKER_A, "worker": "celery@a"}, 4),)),
    ),
    Old(
        "flower_worker_online",
        "worker",
        f"heartbeat younger than {FRESH} s",
        renamed(f"({AGE} < bool {FRESH})", _WHO),
        "absent when it has gone",
        Case("one beats", UP, "5m", (({**WORKER_A, "worker": "celery@a"}, 1),)),
    ),
    Old(
        "flower_worker_number_of_currently_executing_tasks",
        "worker",
        "tasks held, state `active`",
        renamed(ACTIVE, _WHO),
        "",
        Case("four run", held("active"), "5m", (({**WORKER_A, "worker": "celery@a"}, 4),)),
    ),
)  # fmt: skip
