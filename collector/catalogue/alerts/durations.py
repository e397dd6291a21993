"""Do tasks take as long as they use to?"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.promql import TASK, remembered
from collector.catalogue.rules import APPLICATION, DURATION, WARNING, Alert, Case, of, sample
from otel_celery import conventions as c

_A = {"job": "shop", "instance": "celery@a"}
_T = of(TASK)
_P99 = remembered("celery:duration:longest_p99")
_LONGEST = remembered("celery:oldest_active:longest")
_SHORT = f'{TASK}!~"{limit.LONG_TASKS}"'


def _runs(task: str, below: dict[str, str], total: str) -> dict[str, str]:
    """Return a histogram: upper bound -> values."""
    points = {c.QUEUE: "orders", c.TASK_NAME: task}
    return {
        **{
            sample(c.PROCESS_DURATION, points, "_bucket", **_A, le=bound): values
            for bound, values in below.items()
        },
        sample(c.PROCESS_DURATION, points, "_count", **_A): below["+Inf"],
        sample(c.PROCESS_DURATION, points, "_sum", **_A): total,
    }


def _oldest(values: str, task: str = "shop.report") -> dict[str, str]:
    return {sample(c.OLDEST_ACTIVE, {c.TASK_NAME: task}, **_A): values}


_QUICK = _runs(
    "shop.report", {"2.5": "0+1x20 20x600", "5.0": "0+1x20 20x600", "+Inf": "0+1x20 20x600"},
    "0+2x20 40x600",
)  # fmt: skip

ALERTS = (
    Alert(
        "CeleryTaskSlow",
        f"celery:duration:mean{{{_SHORT}}} > {limit.MEAN_SECONDS}",
        "10m",
        WARNING,
        APPLICATION,
        f"{_T} runs {DURATION} on average",
        "The mean of the last five minutes. Tasks that may be slow belong into LONG_TASKS of the"
        " thresholds.",
        (
            Case(
                "a minute and a half each",
                _runs("shop.report", {"60.0": "0x120", "300.0": "0+1x120", "+Inf": "0+1x120"},
                      "0+90.5x120"),
                fires=(({TASK: "shop.report"}, "shop.report runs 1m 30s on average"),),
            ),
            Case(
                "half a minute each",
                _runs("shop.report", {"30.0": "0+1x120", "+Inf": "0+1x120"}, "0+30x120"),
            ),
            Case("they stopped a while ago", _runs(
                "shop.report", {"60.0": "0x120", "+Inf": "0+1x20 20x100"}, "0+120x20 2400x100")),
        ),
    ),
    Alert(
        "CeleryTaskDurationHigh",
        f"celery:duration:p95{{{_SHORT}}} > {limit.P95_SECONDS}",
        "15m",
        WARNING,
        APPLICATION,
        f"{_T}: one run in twenty takes more than {DURATION}",
        "The 95th percentile, read from the bounds of a histogram. The traces of the slow ones are"
        " kept by the Collector: look there for what they waited for.",
        (
            Case(
                "one in five takes up to ten minutes",
                _runs("shop.report",
                      {"300.0": "0+8x120", "600.0": "0+10x120", "+Inf": "0+10x120"}, "0+3000x120"),
                fires=(
                    ({TASK: "shop.report"},
                     "shop.report: one run in twenty takes more than 8m 45s"),
                ),
            ),
            Case(
                "one in fifty",
                _runs("shop.report",
                      {"300.0": "0+49x120", "600.0": "0+50x120", "+Inf": "0+50x120"},
                      "0+3000x120"),
            ),
        ),
    ),
    Alert(
        "CeleryTaskRunsTooLong",
        "(\n"
        "  celery:oldest_active:seconds > 600\n"
        f"  and on ({TASK}) {_P99}\n"
        f"  unless on ({TASK}) celery:oldest_active:seconds <= 2 * {_P99}\n"
        f"  unless on ({TASK}) celery:oldest_active:seconds <= 1.5 * {_LONGEST}\n"
        ")\n"
        "or (\n"
        "  celery:oldest_active:seconds > 3600\n"
        f"  unless on ({TASK}) {_P99}\n"
        f"  unless on ({TASK}) celery:oldest_active:seconds <= 1.5 * {_LONGEST}\n"
        ")",
        "2m",
        WARNING,
        APPLICATION,
        f"{_T} has been running for {DURATION}, far longer than it ever did",
        "Longer than ten minutes, twice the slowest percent of the last week, and half as much"
        " again as any run before yesterday; an hour for a task that never ended yet. A hung task"
        " appears in no histogram and no trace until it ends.",
        (
            Case(
                "of two seconds' work a quarter of an hour is made",
                {**_QUICK, **_oldest("_x20 0+15x100")},
                fires=(
                    ({TASK: "shop.report"}, "shop.report has been running for 15m 0s,"
                     " far longer than it ever did"),
                ),
            ),
            Case("five minutes are within the floor", {**_QUICK, **_oldest("_x60 0+15x100")}),
            Case("it never ended before, and an hour is not over", _oldest("0+15x120")),
            Case(
                "it never ended before, for more than an hour",
                _oldest("0+15x260"),
                at="1h4m",
                fires=(
                    ({TASK: "shop.report"}, "shop.report has been running for 1h 4m 0s,"
                     " far longer than it ever did"),
                ),
            ),
            Case(
                "an hour is usual, and Prometheus was restarted: its memory of a week comes later",
                {
                    **_oldest("3700x120"),
                    sample("celery:duration:longest_p99", **{TASK: "shop.report"}): "4000x80 stale",
                },
                at="26m",
            ),
            Case(
                "the day before yesterday it took as long",
                _oldest("0+15x300 _x5500 0+15x300"),
                at="25h20m",
            ),
        ),
    ),
)  # fmt: skip
