"""What did OvalMoney/celery-exporter 1.5 expose? Read in its `celery_exporter/metrics.py`."""

from __future__ import annotations

from collector.catalogue.migration.old import (
    RAN_WELL,
    SAME,
    UP,
    WORKER_A,
    Old,
    ended,
    histogram,
    renamed,
    states,
)
from collector.catalogue.promql import QUEUE, TASK
from collector.catalogue.rules import Case
from otel_celery import conventions as c

_STATES_1 = {
    "SUCCESS": (c.SUCCESS,),
    "FAILURE": (c.FAILURE, c.TIMEOUT, c.LOST),
    "RETRY": (c.RETRY,),
    "REVOKED": (c.REVOKED, c.EXPIRED),
}
_OVAL = {"name": (TASK, SAME), "queue": (QUEUE, SAME)}
_AS_OVAL = {**WORKER_A, "name": "shop.pay", "queue": "orders"}

CELERY_EXPORTER_1 = (
    Old(
        "celery_tasks_total",
        "name, state, queue, namespace",
        "outcomes",
        "\nor ".join(
            f'label_replace({renamed(states(*which), _OVAL)}, "state", "{state}", "", "")'
            for state, which in _STATES_1.items()
        ),
        "no RECEIVED, PENDING, STARTED; no namespace",
        ended(c.FAILURE, {**_AS_OVAL, "state": "FAILURE"}, error="KeyError"),
    ),
    Old(
        "celery_workers",
        "namespace",
        "`celery:workers_online`",
        "sum(celery:workers_online)",
        "no namespace",
        Case("one", UP, "5m", (({}, 1),)),
    ),
    *histogram(
        "celery_tasks_runtime_seconds", c.PROCESS_DURATION, _OVAL, "name, queue, namespace",
        "process duration without error", _AS_OVAL, RAN_WELL, "other bounds; no namespace",
    ),
    *histogram(
        "celery_tasks_latency_seconds", c.QUEUE_WAIT, _OVAL, "name, queue, namespace",
        "queue wait", _AS_OVAL, {},
        "from due to begun; theirs is from received to begun, and so lacks the broker's queue",
    ),
)  # fmt: skip
