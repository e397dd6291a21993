"""What does danihodovic/celery-exporter 0.12 expose? Read in its `src/exporter.py`."""

from __future__ import annotations

from collector.catalogue.migration.old import (
    ACTIVE,
    AGE,
    AS_EXPORTER,
    EXPORTER,
    HOST,
    POINT,
    RAN_WELL,
    SAME,
    UP,
    WORKER_A,
    Old,
    ended,
    held,
    histogram,
    outcome,
    renamed,
    states,
)
from collector.catalogue.promql import DEPTH, ERROR, QUEUE, TASK, WORKER, select
from collector.catalogue.recording import FRESH
from collector.catalogue.rules import Case, sample
from otel_celery import conventions as c

_READY = {c.QUEUE: "orders", c.QUEUE_STATE: "ready"}

CELERY_EXPORTER = (
    Old(
        "celery_task_sent_total",
        "name, hostname, queue_name",
        "sent messages without error",
        renamed(
            select(c.SENT_MESSAGES, {c.ERROR_TYPE: '=""'}),
            {"name": (TASK, SAME), "queue_name": (QUEUE, SAME)},
        ),
        "counted by the publisher, so there is no hostname",
        Case(
            "three sent, one not",
            {
                sample(c.SENT_MESSAGES, POINT, job="web", instance="7a0c"): "3x40",
                sample(
                    c.SENT_MESSAGES, {**POINT, c.ERROR_TYPE: "E"}, job="web", instance="7a0c"
                ): "1x40",
            },
            "5m",
            (
                (
                    {"job": "web", "instance": "7a0c", "name": "shop.pay", "queue_name": "orders"},
                    3,
                ),
            ),
        ),
    ),
    Old(
        "celery_task_received_total",
        "name, hostname, queue_name",
        "consumed messages",
        renamed(
            select(c.CONSUMED_MESSAGES),
            {"queue_name": (QUEUE, SAME), "hostname": HOST},
        ),
        "no name: what was received is counted before it is read",
        Case(
            "five received",
            {sample(c.CONSUMED_MESSAGES, {c.QUEUE: "orders"}, **WORKER_A): "5x40"},
            "5m",
            (({**WORKER_A, "queue_name": "orders", "hostname": "a"}, 5),),
        ),
    ),
    Old(
        "celery_task_started_total",
        "name, hostname, queue_name",
        "count of the process duration",
        renamed(select(c.PROCESS_DURATION, suffix="_count"), EXPORTER),
        "counted when they end, not when they begin",
        Case(
            "seven ran",
            {sample(c.PROCESS_DURATION, POINT, "_count", **WORKER_A): "7x40"},
            "5m",
            ((AS_EXPORTER, 7),),
        ),
    ),
    outcome("succeeded", c.SUCCESS),
    Old(
        "celery_task_failed_total",
        "name, hostname, exception, queue_name",
        "outcomes, state `failure`, `timeout`, `lost`",
        renamed(
            states(c.FAILURE, c.TIMEOUT, c.LOST), {**EXPORTER, "exception": (ERROR, SAME)}
        ),
        "",
        ended(c.FAILURE, {**AS_EXPORTER, "exception": "KeyError"}, error="KeyError"),
    ),
    outcome("rejected", c.REJECTED, c.REQUEUED),
    outcome("revoked", c.REVOKED, c.EXPIRED),
    outcome("retried", c.RETRY),
    Old(
        "celery_worker_up",
        "hostname",
        f"heartbeat younger than {FRESH} s",
        renamed(f"({AGE} < bool {FRESH})", {"hostname": HOST}),
        "1 or 0 while it exports, then absent; theirs is 0 for ten minutes",
        Case("one beats", UP, "5m", (({**WORKER_A, "hostname": "a"}, 1),)),
    ),
    Old(
        "celery_worker_tasks_active",
        "hostname",
        "tasks held, state `active`",
        renamed(ACTIVE, {"hostname": HOST}),
        "",
        Case("four run", held("active"), "5m", (({**WORKER_A, "hostname": "a"}, 4),)),
    ),
    *histogram(
        "celery_task_runtime", c.PROCESS_DURATION, EXPORTER, "name, hostname, queue_name",
        "process duration without error", AS_EXPORTER, RAN_WELL,
        "other bounds; retries are in it",
    ),
    *histogram(
        "celery_task_queue_wait_time", c.QUEUE_WAIT, EXPORTER, "name, hostname, queue_name",
        "queue wait", AS_EXPORTER, {}, "other bounds; not for redelivered messages",
    ),
    Old(
        "celery_queue_length",
        "queue_name",
        "queue depth, state `ready`",
        renamed(f'celery:queue_depth{{{DEPTH}="ready"}}', {"queue_name": (QUEUE, SAME)}, ""),
        "all priorities of Redis together",
        Case(
            "six wait",
            {sample(c.QUEUE_DEPTH, _READY, **WORKER_A): "6x40"},
            "5m",
            (({"queue_name": "orders"}, 6),),
        ),
    ),
    Old(
        "celery_active_consumer_count",
        "queue_name",
        "consumer count",
        renamed(
            f"max by ({QUEUE}) ({select(c.QUEUE_CONSUMERS)})", {"queue_name": (QUEUE, SAME)}, ""
        ),
        "RabbitMQ alone knows it, there as here",
        Case(
            "two consume",
            {sample(c.QUEUE_CONSUMERS, {c.QUEUE: "orders"}, **WORKER_A): "2x40"},
            "5m",
            (({"queue_name": "orders"}, 2),),
        ),
    ),
    Old(
        "celery_active_worker_count",
        "queue_name",
        "`celery:queue_consumers`",
        renamed("celery:queue_consumers", {"queue_name": (QUEUE, SAME)}, ""),
        "",
        Case(
            "one worker",
            {**UP, sample(c.QUEUE_CONSUMING, {c.QUEUE: "orders"}, **WORKER_A): "1x40"},
            "5m",
            (({"queue_name": "orders"}, 1),),
        ),
    ),
    Old(
        "celery_active_process_count",
        "queue_name",
        "pool limit of the workers that consume it",
        renamed(
            f"sum by ({QUEUE}) ({select(c.QUEUE_CONSUMING)} * on ({WORKER}) group_left ()"
            f" max by ({WORKER}) ({select(c.POOL_LIMIT)}))",
            {"queue_name": (QUEUE, SAME)},
            "",
        ),
        "",
        Case(
            "one worker with four",
            {
                sample(c.QUEUE_CONSUMING, {c.QUEUE: "orders"}, **WORKER_A): "1x40",
                sample(c.POOL_LIMIT, {c.POOL_TYPE: "prefork"}, **WORKER_A): "4x40",
            },
            "5m",
            (({"queue_name": "orders"}, 4),),
        ),
    ),
)  # fmt: skip
