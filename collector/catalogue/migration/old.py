"""What was a metric called elsewhere, and how is ours asked for under that name?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from collector.catalogue.promql import QUEUE, TASK, WORKER, select
from collector.catalogue.rules import Case, Recording, sample
from otel_celery import conventions as c


@dataclass(frozen=True)
class Old:
    """One metric of another program.

    Args:
        name: theirs; a histogram's with `_bucket`, `_count` or `_sum`.
        labels: theirs.
        ours: what to ask instead, in words.
        expr: our numbers under their labels; empty where there are none.
        differs: what is not the same.
        case: what promtool is asked.
    """

    name: str
    labels: str
    ours: str
    expr: str = ""
    differs: str = ""
    case: Case | None = None

    def rule(self) -> Recording:
        return Recording(self.name, self.ours, self.expr, (self.case,) if self.case else ())


HOST = ("instance", "(?:.*@)?(.*)")
SAME = "(.*)"


def renamed(query: str, labels: Mapping[str, tuple[str, str]], keep: str = WORKER) -> str:
    """Return a query with labels under other names: new -> old, and the part of it that is meant.

    Job and instance stay, so that counters of different processes are never added up: `rate()` of
    a sum sees a restart as a fall.
    """
    for new, (old, part) in labels.items():
        query = f'label_replace({query}, "{new}", "$1", "{old}", "{part}")'
    return f"sum by ({', '.join((keep, *labels)).strip(', ')}) ({query})"


EXPORTER = {"name": (TASK, SAME), "queue_name": (QUEUE, SAME), "hostname": HOST}
FLOWER_LABELS = {"worker": ("instance", SAME), "task": (TASK, SAME)}
WORKER_A = {"job": "shop", "instance": "celery@a"}
POINT = {c.QUEUE: "orders", c.TASK_NAME: "shop.pay"}
AS_EXPORTER = {**WORKER_A, "name": "shop.pay", "queue_name": "orders", "hostname": "a"}
AS_FLOWER = {**WORKER_A, "worker": "celery@a", "task": "shop.pay"}


def states(*which: str) -> str:
    return select(c.OUTCOMES, {c.TASK_STATE: f'=~"{"|".join(which)}"'})


def ended(state: str, labels: Mapping[str, str], **error: str) -> Case:
    """Return a case: three deliveries ended in a state."""
    points = {**POINT, c.TASK_STATE: state}
    if error:
        points[c.ERROR_TYPE] = error["error"]
    other = sample(c.OUTCOMES, {**POINT, c.TASK_STATE: c.IGNORED}, **WORKER_A)
    given = {sample(c.OUTCOMES, points, **WORKER_A): "3x40", other: "9x40"}
    return Case(f"three of {state}, nine of another state", given, "5m", ((labels, 3),))


def outcome(name: str, *which: str, differs: str = "") -> Old:
    return Old(
        f"celery_task_{name}_total",
        "name, hostname, queue_name",
        f"outcomes, state {', '.join(f'`{s}`' for s in which)}",
        renamed(states(*which), EXPORTER),
        differs,
        ended(which[0], AS_EXPORTER),
    )


def histogram(
    prefix: str, metric: c.Metric, labels: Mapping[str, tuple[str, str]], names: str, ours: str,
    as_theirs: Mapping[str, str], where: Mapping[str, str], differs: str,
) -> tuple[Old, ...]:  # fmt: skip
    rows = []
    for suffix in ("_bucket", "_sum", "_count"):
        bound = {"le": "0.5"} if suffix == "_bucket" else {}
        keep = f"{WORKER}, le" if bound else WORKER
        rows.append(
            Old(
                f"{prefix}{suffix}",
                f"{names}, le" if bound else names,
                ours,
                renamed(select(metric, where, suffix), labels, keep),
                differs,
                Case(
                    "seven runs",
                    {sample(metric, POINT, suffix, **WORKER_A, **bound): "7x40"},
                    "5m",
                    (({**as_theirs, **bound}, 7),),
                ),
            )
        )
    return tuple(rows)


RAN_WELL = {c.ERROR_TYPE: '=""'}
ACTIVE = select(c.TASK_COUNT, {c.HELD_STATE: '="active"'})
RESERVED = select(c.TASK_COUNT, {c.HELD_STATE: '="reserved"'})
AGE = "celery:worker_heartbeat_age:seconds"
UP = {sample(c.WORKER_HEARTBEAT, **WORKER_A): "0+15x40"}


def held(state: str) -> dict[str, str]:
    return {sample(c.TASK_COUNT, {c.HELD_STATE: state}, **WORKER_A): "4x40"}
