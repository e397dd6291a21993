"""Which queries does Prometheus answer in advance, and under which names?

Traps that these keep out: both sides of a ratio are summed alike, quantiles are summed by `le`,
queues are read by several workers at times and so are `max`, never `sum`, and nothing is 0 because
it cannot be known.
"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.promql import (
    DEPTH,
    ERROR,
    JOB,
    QUEUE,
    STATE,
    TASK,
    WORKER,
    events,
    quantile,
    select,
)  # fmt: skip
from collector.catalogue.rules import Recording
from otel_celery import conventions as c

FRESH = 60  # seconds since the last heartbeat of a worker that counts as alive
ALIVE = select(c.WORKER_HEARTBEAT)

FINAL = {
    c.TASK_STATE: f'!~"{c.RETRY}|{c.REQUEUED}|{c.RETURNED}|{c.DELEGATED}|{c.IGNORED}"',
    c.TASK_EXPECTED: '!="true"',
}
"""Outcomes that are the end of a task; an exception that it expects is no fault, nor a success."""

_outcomes = select(c.OUTCOMES)
_left = select(c.OUTCOMES, {c.TASK_STATE: f'!~"{c.REQUEUED}|{c.RETURNED}"'})
_failures = "|".join((c.FAILURE, c.TIMEOUT, c.LOST, c.UNKNOWN, c.INVALID))
_failed = select(c.OUTCOMES, {c.TASK_STATE: f'=~"{_failures}"', c.TASK_EXPECTED: '!="true"'})
_final = select(c.OUTCOMES, FINAL)
_hard = select(c.OUTCOMES, {c.TASK_STATE: f'="{c.TIMEOUT}"'})
_soft = select(
    c.OUTCOMES, {c.ERROR_TYPE: '="SoftTimeLimitExceeded"', c.TASK_STATE: f'="{c.FAILURE}"'}
)
_with_error = select(c.OUTCOMES, {c.ERROR_TYPE: '!=""'})
_active = select(c.TASK_COUNT, {c.HELD_STATE: '="active"'})
_limit = select(c.POOL_LIMIT)
_prefork = select(c.POOL_LIMIT, {c.POOL_TYPE: '="prefork"'})
_ready = f'sum by ({QUEUE}) (celery:queue_depth{{{DEPTH}="ready"}})'
_waiting = f'celery:queue_depth{{{DEPTH}=~"ready|delayed"}}'
_no_worker = f"0 * max by ({WORKER}) ({ALIVE})"


def _last_hour(selector: str) -> str:
    """Return how much each counter grew in an hour: exactly, where it began within it.

    Publishers come and go, each with counters of its own: such a counter grew by what it last
    said. After a hole in the scrapes all of them seem to have begun: what asks this must ask for
    something of an hour ago too, as the ledger does.
    """
    return (
        f"sum by ({QUEUE}) (\n"
        f"    (last_over_time({selector}[1h]) unless {selector} offset 1h"
        f" unless resets({selector}[1h]) > 0)\n"
        f"    or increase({selector}[1h])\n"
        f"  )"
    )


_sent = select(c.SENT_MESSAGES, {c.ERROR_TYPE: '=""'})
_sent_1h = _last_hour(_sent)
_received_1h = _last_hour(select(c.CONSUMED_MESSAGES, {c.TASK_REDELIVERED: '!="true"'}))

TASKS = (
    Recording(
        "celery:task_rate",
        "Tasks that ended, of those that began, a second.",
        events(c.PROCESS_DURATION, TASK),
    ),
    Recording(
        "celery:outcome_rate",
        "Deliveries that ended, a second, by state.",
        f"sum by ({TASK}, {STATE}) (rate({_outcomes}[5m]))",
    ),
    Recording(
        "celery:outcome_ratio",
        "Share of a task's deliveries that ended in each state.",
        f"celery:outcome_rate\n/ on ({TASK}) group_left ()\n"
        f"(sum by ({TASK}) (celery:outcome_rate) > 0)",
    ),
    Recording(
        "celery:failure_ratio",
        "Share of a task's deliveries that failed, were killed, unknown or unreadable; exceptions"
        " that the task expects (`throws`) are no failures here.",
        f"(sum by ({TASK}) (rate({_failed}[5m])) or 0 * sum by ({TASK}) (celery:outcome_rate))\n"
        f"/ on ({TASK})\n(sum by ({TASK}) (celery:outcome_rate) > 0)",
    ),
    Recording(
        "celery:success_ratio",
        "Share of success among the deliveries that ended for good; retries, requeued and returned"
        " deliveries are not the end, and expected exceptions no fault.",
        f'(sum by ({TASK}) (celery:outcome_rate{{{STATE}="{c.SUCCESS}"}})'
        f" or 0 * sum by ({TASK}) (celery:outcome_rate))\n"
        f"/ on ({TASK}) (sum by ({TASK}) (rate({_final}[5m])) > 0)",
    ),
    Recording(
        "celery:timeout_ratio",
        "Share of a task's deliveries of 15 minutes that a time limit ended, hard or soft.",
        f"sum by ({TASK}) (rate({_hard}[15m]) or rate({_soft}[15m]))\n"
        f"/ on ({TASK}) (sum by ({TASK}) (rate({_outcomes}[15m])) > 0)",
    ),
    *(
        Recording(
            f"celery:duration:p{int(q * 100)}",
            f"Seconds within which {int(q * 100)} % of a task's runs ended.",
            quantile(q, c.PROCESS_DURATION, TASK),
        )
        for q in (0.5, 0.95, 0.99)
    ),
    Recording(
        "celery:duration:mean",
        "Mean seconds that a task ran.",
        f"(\n"
        f"  sum by ({TASK}) (rate({select(c.PROCESS_DURATION, suffix='_sum')}[5m]))\n"
        f"  or histogram_sum(sum by ({TASK}) (rate({select(c.PROCESS_DURATION)}[5m])))\n"
        f")\n/ on ({TASK}) (celery:task_rate > 0)",
    ),
    Recording(
        "celery:oldest_active:seconds",
        "How long the oldest running delivery of a task has been running.",
        f"max by ({TASK}) ({select(c.OLDEST_ACTIVE)})",
    ),
    Recording(
        "celery:error_rate",
        "Failures, retries and kills a second, by class of the error.",
        f"sum by ({TASK}, {STATE}, {ERROR}) (rate({_with_error}[5m]))",
    ),
)  # fmt: skip

WORKERS = (
    Recording(
        "celery:worker_heartbeat_age:seconds",
        "Seconds since a worker's loop last turned.",
        f"time() - max by ({WORKER}) ({ALIVE})",
    ),
    Recording(
        "celery:workers_online",
        f"Workers whose heartbeat is younger than {FRESH} s; 0 for a day after the last one.",
        f"count by ({JOB}) (celery:worker_heartbeat_age:seconds < {FRESH})\n"
        f"or 0 * count by ({JOB}) (last_over_time({ALIVE}[1d]))",
    ),
    Recording(
        "celery:worker_saturation",
        "Running tasks over tasks that can run at once.",
        f"sum by ({WORKER}) ({_active})\n"
        f"/ on ({WORKER}) (max by ({WORKER}) ({_limit}) > 0)",
    ),
    Recording(
        "celery:worker_cpu:cores",
        "Cores that a worker and its pool processes keep busy.",
        f"max by ({WORKER}) (rate({select(c.WORKER_CPU)}[5m]))",
    ),
    Recording(
        "celery:worker_cpu_ratio",
        "The same, over the cores that it can use: one for each process of the pool, one in all"
        " for pools of threads.",
        f"celery:worker_cpu:cores\n/ on ({WORKER}) (\n"
        f"  max by ({WORKER}) ({_prefork})\n"
        f"  or clamp_max(max by ({WORKER}) ({_limit}), 1)\n"
        f")",
    ),
    Recording(
        "celery:worker_memory_ratio",
        "Memory of a worker over the limit of its control group; absent where there is none.",
        f"max by ({WORKER}) ({select(c.WORKER_MEMORY)})\n"
        f"/ on ({WORKER}) (max by ({WORKER}) ({select(c.WORKER_MEMORY_LIMIT)}) > 0)",
    ),
    Recording(
        "celery:ledger_worker:difference",
        "Deliveries that a worker received and that neither ended nor are held; 0 at rest.",
        f"(sum by ({WORKER}) ({select(c.CONSUMED_MESSAGES)}) or {_no_worker})\n"
        f"- on ({WORKER}) (sum by ({WORKER}) ({_outcomes}) or {_no_worker})\n"
        f"- on ({WORKER}) sum by ({WORKER}) ({select(c.TASK_COUNT)})",
    ),
)  # fmt: skip

QUEUES = (
    Recording(
        "celery:queue_depth",
        "Messages in a queue, by state. Redis knows the unacknowledged ones of all queues only.",
        f"max by ({QUEUE}, {DEPTH}) ({select(c.QUEUE_DEPTH)})",
    ),
    Recording(
        "celery:queue_oldest_age:seconds",
        "How long the message at the head of a queue has waited; 0 when nothing waits.",
        f"max by ({QUEUE}) ({select(c.OLDEST_MESSAGE)})",
    ),
    Recording(
        "celery:wait:p95",
        "Seconds within which 95 % of a queue's deliveries began after they were due.",
        quantile(0.95, c.QUEUE_WAIT, QUEUE),
    ),
    Recording(
        "celery:queue_sent_rate",
        "Messages sent to a queue, a second.",
        f"sum by ({QUEUE}) (rate({_sent}[5m]))",
    ),
    Recording(
        "celery:queue_done_rate",
        "Deliveries of a queue that ended for good, a second.",
        f"sum by ({QUEUE}) (rate({_left}[5m]))",
    ),
    Recording(
        "celery:queue_drain:seconds",
        "Time to drain: how long the ready messages take at the present rate; infinite while"
        " nothing ends.",
        f"({_ready} == 0)\nor ({_ready} > 0) / on ({QUEUE}) celery:queue_done_rate",
    ),
    Recording(
        "celery:queue_consumers",
        "Live workers that consume a queue, 0 where it is known and none does.",
        f"count by ({QUEUE}) (\n"
        f"  {select(c.QUEUE_CONSUMING)} == 1\n"
        f"  and on ({WORKER}) celery:worker_heartbeat_age:seconds < {FRESH}\n"
        f")\n"
        f"or 0 * {_ready}",
    ),
    Recording(
        "celery:ledger_queue:difference",
        "Messages of the last hour that were sent, and are neither received nor ready: lost,"
        " expired in the broker, or on the way. Negative: put in by someone who does not count."
        " Absent for an hour after a queue is read for the first time: what it held is not known.",
        f"{_sent_1h}\n"
        f"- on ({QUEUE}) (\n"
        f"  {_received_1h}\n"
        f"  or 0 * {_sent_1h}\n"
        f")\n"
        f"- on ({QUEUE}) (\n"
        f"  sum by ({QUEUE}) ({_waiting})\n"
        f"  - sum by ({QUEUE}) ({_waiting} offset 1h)\n"
        f")",
    ),
)  # fmt: skip

_rows = [
    f'label_replace(vector({least}), "{JOB}", "{job}", "", "")'
    for job, least in limit.EXPECTED_WORKERS.items()
]
_unruled = f'{{{JOB}!~"{"|".join(limit.EXPECTED_WORKERS)}"}}' if _rows else ""

HISTORY = (
    Recording(
        "celery:workers_expected",
        "Workers that must be online: of the table, else half of the median of the last day.",
        "\nor ".join(
            (*_rows, f"0.5 * quantile_over_time(0.5, celery:workers_online{_unruled}[1d])")
        ),
    ),
    Recording(
        "celery:duration:longest_p99",
        "The slowest percent of a task's runs, in the slowest five minutes of a week.",
        "max_over_time(celery:duration:p99[7d])",
    ),
    Recording(
        "celery:oldest_active:longest",
        "The longest that a task was seen running in a week, the last day left out.",
        "max_over_time(celery:oldest_active:seconds[6d] offset 1d)",
    ),
)

BEAT = (
    Recording(
        "celery:beat_heartbeat_age:seconds",
        "Seconds since a beat's loop last turned; it sleeps up to five minutes when idle.",
        f"time() - max by ({WORKER}) ({select(c.BEAT_HEARTBEAT)})",
    ),
)

GROUPS = {
    "celery-tasks": TASKS,
    "celery-workers": WORKERS,
    "celery-queues": QUEUES,
    "celery-beat": BEAT,
    "celery-history": HISTORY,
}
RECORDINGS = tuple(rule for rules in GROUPS.values() for rule in rules)
