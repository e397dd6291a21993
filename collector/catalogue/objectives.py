"""What is promised, and how fast is the promise being used up?

Each row of `OBJECTIVES` becomes rates of good and bad events, burn rates over seven windows, and
alerts in the manner of the SRE Workbook: a fast burn wakes somebody, a slow one waits, and both end
soon after the cause does, because a short window must agree with the long one.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.catalogue import thresholds as limit
from collector.catalogue.promql import QUEUE, TASK, select
from collector.catalogue.rules import (
    APPLICATION,
    CRITICAL,
    VALUE,
    WARNING,
    Alert,
    Case,
    Recording,
    of,
    sample,
)
from otel_celery import conventions as c


@dataclass(frozen=True)
class Objective:
    """A share of events that must be good, in 30 days.

    Args:
        name: value of the label `slo`.
        target: below 1.
        tasks: of tasks whose deliveries must end well; anchored regular expression.
        queues: of queues whose deliveries must begin in time; instead of `tasks`.
        within: seconds, a bucket bound of the waiting time.
    """

    name: str
    target: float
    tasks: str = ""
    queues: str = ""
    within: float = 0.0

    def __post_init__(self) -> None:
        if bool(self.tasks) == bool(self.queues):
            raise ValueError(f"{self.name}: give either tasks or queues")
        if self.queues and self.within not in c.QUEUE_WAIT.buckets:
            raise ValueError(f"{self.name}: {self.within} is no bound of {c.QUEUE_WAIT.name}")


OBJECTIVES = (
    Objective("task-success", 0.99, tasks=".+"),
    Objective("critical-task-success", 0.999, tasks=limit.CRITICAL_TASKS),
    Objective("queue-wait", 0.95, queues=".+", within=60),
)

_GOES_ON = f"{c.RETRY}|{c.REQUEUED}|{c.RETURNED}|{c.DELEGATED}|{c.IGNORED}"
_BAD = f"{c.FAILURE}|{c.TIMEOUT}|{c.LOST}|{c.REJECTED}|{c.EXPIRED}"
_WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")
EVERY = 60
"""Seconds between two evaluations of these rules: a rate times this is a number of events."""
_STEPS = (
    ("1h", "5m", 14.4, CRITICAL),
    ("6h", "30m", 6, CRITICAL),
    ("1d", "2h", 3, WARNING),
    ("3d", "6h", 1, WARNING),
)


def _named(objective: Objective, query: str) -> str:
    return f'label_replace({query}, "slo", "{objective.name}", "", "")'


def _all(objective: Objective) -> str:
    if objective.tasks:
        events = select(
            c.OUTCOMES,
            {
                c.TASK_NAME: f'=~"{objective.tasks}"',
                c.TASK_STATE: f'!~"{_GOES_ON}"',
                c.TASK_EXPECTED: '!="true"',
            },
        )
        return _named(objective, f"sum by ({TASK}) (rate({events}[5m]))")
    which = {c.QUEUE: f'=~"{objective.queues}"'}
    count = select(c.QUEUE_WAIT, which, "_count")
    native = select(c.QUEUE_WAIT, which)
    return _named(
        objective,
        f"sum by ({QUEUE}) (rate({count}[5m]))"
        f" or histogram_count(sum by ({QUEUE}) (rate({native}[5m])))",
    )


def _bad(objective: Objective) -> str:
    if objective.tasks:
        events = select(
            c.OUTCOMES,
            {
                c.TASK_NAME: f'=~"{objective.tasks}"',
                c.TASK_STATE: f'=~"{_BAD}"',
                c.TASK_EXPECTED: '!="true"',
            },
        )
        return _named(objective, f"sum by ({TASK}) (rate({events}[5m]))")
    which = {c.QUEUE: f'=~"{objective.queues}"'}
    count = select(c.QUEUE_WAIT, which, "_count")
    native = select(c.QUEUE_WAIT, which)
    # Prometheus 3 writes bounds as floats, earlier ones as they came.
    inner = select(c.QUEUE_WAIT, which, "_bucket")[:-1]
    bound = f'{inner}, le=~"{objective.within:g}|{objective.within:.1f}"}}'
    return _named(
        objective,
        f"sum by ({QUEUE}) (rate({count}[5m])) - sum by ({QUEUE}) (rate({bound}[5m]))"
        f" or (1 - histogram_fraction(0, {objective.within:g},"
        f" sum by ({QUEUE}) (rate({native}[5m]))))"
        f" * histogram_count(sum by ({QUEUE}) (rate({native}[5m])))",
    )


def _burn(window: str) -> str:
    """Return how many times too fast the budget is used: 1 uses it up in exactly 30 days."""
    bad, total = "celery:slo_bad:rate5m", "celery:slo_all:rate5m"
    if window != "5m":
        bad, total = (f"avg_over_time({name}[{window}])" for name in (bad, total))
    return f"{bad} / ({total} > 0)\n/ on (slo) group_left () celery:slo_budget"


RECORDINGS = (
    Recording(
        "celery:slo_budget",
        "Share of events that an objective allows to be bad.",
        "\nor ".join(_named(o, f"vector({1 - o.target:.6g})") for o in OBJECTIVES),
    ),
    Recording(
        "celery:slo_all:rate5m",
        "Events that an objective is about, a second.",
        "\nor ".join(_all(o) for o in OBJECTIVES),
    ),
    Recording(
        "celery:slo_bad:rate5m",
        "Those that were bad.",
        "\nor ".join((*(_bad(o) for o in OBJECTIVES), "0 * celery:slo_all:rate5m")),
    ),
    *(
        Recording(
            f"celery:slo_burn:{window}",
            f"How many times too fast an objective's budget is used up, over {window}.",
            _burn(window),
        )
        for window in ("5m", *_WINDOWS)
    ),
)

_A = {"job": "shop", "instance": "celery@a"}


def _outcomes(state: str, values: str) -> dict[str, str]:
    points = {c.QUEUE: "orders", c.TASK_NAME: "shop.mail", c.TASK_STATE: state}
    return {sample(c.OUTCOMES, points, **_A): values}


def _waits(quick: str, total: str) -> dict[str, str]:
    points = {c.QUEUE: "orders", c.TASK_NAME: "shop.mail"}
    return {
        sample(c.QUEUE_WAIT, points, "_bucket", **_A, le="60.0"): quick,
        sample(c.QUEUE_WAIT, points, "_count", **_A): total,
    }


_MAIL = {"slo": "task-success", TASK: "shop.mail"}
_ORDERS = {"slo": "queue-wait", QUEUE: "orders"}

_CASES = (
    Case(
        "one in five fails for an hour: fast",
        {**_outcomes("success", "0+4x400"), **_outcomes("failure", "0+1x400")},
        at="1h10m",
        fires=tuple(
            ({**_MAIL, "severity": severity}, "task-success of shop.mail: budget used 20 times"
             " too fast")
            for severity in (CRITICAL, WARNING)
        ),
    ),
    Case(
        "one in twenty-five fails: slow, and nobody is woken",
        {**_outcomes("success", "0+24x500"), **_outcomes("failure", "0+1x500")},
        at="2h",
        fires=(
            ({**_MAIL, "severity": WARNING},
             "task-success of shop.mail: budget used 4 times too fast"),
        ),
    ),
    Case(
        "nine in ten wait for more than a minute",
        _waits("0+1x400", "0+10x400"),
        at="1h10m",
        fires=tuple(
            ({**_ORDERS, "severity": severity}, "queue-wait of orders: budget used 18 times"
             " too fast")
            for severity in (CRITICAL, WARNING)
        ),
    ),
    Case(
        "it is over: the short windows disagree",
        {**_outcomes("success", "0+4x120 480+5x2000"), **_outcomes("failure", "0+1x120 120x2000")},
        at="7h",
    ),
    Case(
        "one in five hundred fails",
        {**_outcomes("success", "0+499x400"), **_outcomes("failure", "0+1x400")},
        at="1h10m",
    ),
    Case(
        "two of forty fail: a rare task would burn for a day",
        {**_outcomes("success", "0+1x40 40x300"), **_outcomes("failure", "0x20 1x10 2x300")},
        at="30m",
    ),
    Case(
        "three of five fail in an hour: too few to speak of a share",
        {**_outcomes("success", "0x200 1 2 2x200"), **_outcomes("failure", "0x200 1 2 3x200")},
        at="55m",
    ),
)  # fmt: skip


def _alert(severity: str, cases: tuple[Case, ...]) -> Alert:
    steps = [
        f"(\n  celery:slo_burn:{long} > {factor}\n  and celery:slo_burn:{short} > {factor}\n"
        f"  and {EVERY} * sum_over_time(celery:slo_all:rate5m[{long}]) >= {limit.VOLUME}\n"
        f"  and {EVERY} * sum_over_time(celery:slo_bad:rate5m[{long}]) > {limit.BAD - 0.5}\n)"
        for long, short, factor, step in _STEPS
        if step == severity
    ]
    return Alert(
        "CeleryObjectiveBurning",
        "\nor ".join(steps),
        "2m",
        severity,
        APPLICATION,
        f"{of('slo')} of {of(TASK)}{of(QUEUE)}: budget used {VALUE} times too fast",
        "The objective (OBJECTIVES of the catalogue) allows so many bad events in 30 days. At this"
        " pace: 14 times uses them up in two days, 6 times in five, 3 times in ten.",
        cases,
    )


ALERTS = (_alert(CRITICAL, _CASES), _alert(WARNING, ()))
