"""How is a metric of ours named in a query?

Every name comes from `otel_celery.conventions`: a renamed metric or attribute breaks the build,
not, in silence, a rule.
"""

from __future__ import annotations

from collections.abc import Mapping

from collector.catalogue.names import label, series
from otel_celery import conventions as c
from otel_celery.conventions import Metric

TASK = label(c.TASK_NAME)
QUEUE = label(c.QUEUE)
STATE = label(c.TASK_STATE)
ERROR = label(c.ERROR_TYPE)
HELD = label(c.HELD_STATE)
DEPTH = label(c.QUEUE_STATE)
ENTRY = label(c.BEAT_ENTRY)
JOB = "job"  # service.name, as the Collector translates it
WORKER = "job, instance"  # and service.instance.id
IDENTITY = frozenset({"job", "instance"})
"""Labels that every series of a process has, beside the attributes of the metric."""


def select(metric: Metric, where: Mapping[str, str] | None = None, suffix: str = "") -> str:
    """Return a selector.

    Args:
        metric: of the catalogue.
        where: attribute, or one of `IDENTITY` -> operator and value, such as
            `{c.TASK_STATE: '="lost"'}`.
        suffix: `_bucket`, `_count` or `_sum` of a histogram.

    Raises:
        KeyError: the metric has no such attribute, so that the matcher could never be true.
    """
    parts = []
    for key, test in (where or {}).items():
        if key not in metric.keys and key not in IDENTITY:
            raise KeyError(f"{metric.name} has no attribute {key}")
        parts.append(f"{label(key)}{test}")
    return f"{series(metric)}{suffix}" + (f"{{{', '.join(parts)}}}" if parts else "")


def growth(selector: str, window: str, by: str, alive: str) -> str:
    """Return how much counters of workers grew, the first event of a new series included.

    `increase()` sees nothing of a counter that begins at 1, as one per error class does. Such a
    series counts in full, if its worker was there before it: else a hole in the scrapes would look
    like a burst.

    Args:
        selector: counters.
        window: as `10m`.
        by: labels to sum by.
        alive: a series that each worker always has.
    """
    return (
        f"sum by ({by}) (\n"
        f"  (({selector} unless {selector} offset {window})"
        f" and on ({WORKER}) {alive} offset {window})\n"
        f"  or increase({selector}[{window}])\n"
        f")"
    )


def remembered(name: str) -> str:
    """Return a selector of a rule that is evaluated seldom: its last answer of 15 minutes.

    After a restart of Prometheus its answer is missing until the group's next turn, and what is
    missing must not look like what never was.
    """
    return f"last_over_time({name}[15m])"


def quantile(q: float, metric: Metric, by: str, window: str = "5m") -> str:
    """Return a quantile of a histogram, whether it came with buckets or as a native one.

    Without events there is no quantile: the comparison takes the NaN away.
    """
    buckets, native = select(metric, suffix="_bucket"), select(metric)
    return (
        f"(\n"
        f"  histogram_quantile({q}, sum by (le, {by}) (rate({buckets}[{window}])))\n"
        f"  or histogram_quantile({q}, sum by ({by}) (rate({native}[{window}])))\n"
        f") >= 0"
    )


def above(metric: Metric, bound: float, by: str, window: str) -> str:
    """Return how many points of a histogram, with buckets or a native one, are above a bound.

    Raises:
        ValueError: the metric has no bucket that ends there.
    """
    if bound not in metric.buckets:
        raise ValueError(f"{bound} is no bound of {metric.name}")
    count, native = select(metric, suffix="_count"), f"sum by ({by}) (increase({select(metric)}"
    # Prometheus 3 writes bounds as floats, earlier ones as they came.
    upto = f'{select(metric, suffix="_bucket")}{{le=~"{bound:g}|{bound:.1f}"}}'
    return (
        f"(\n"
        f"  sum by ({by}) (increase({count}[{window}]))"
        f" - sum by ({by}) (increase({upto}[{window}]))\n"
        f"  or (1 - histogram_fraction(0, {bound:g}, {native}[{window}]))))"
        f" * histogram_count({native}[{window}])))\n"
        f")"
    )


def events(metric: Metric, by: str, window: str = "5m") -> str:
    """Return how often a histogram was recorded a second, with buckets or as a native one."""
    count, native = select(metric, suffix="_count"), select(metric)
    return (
        f"sum by ({by}) (rate({count}[{window}]))\n"
        f"or histogram_count(sum by ({by}) (rate({native}[{window}])))"
    )
