"""Do tasks end well?"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.promql import ERROR, STATE, TASK, growth, select
from collector.catalogue.recording import ALIVE
from collector.catalogue.rules import (
    APPLICATION,
    COUNT,
    CRITICAL,
    PERCENT,
    WARNING,
    Alert,
    Case,
    of,
    sample,
)  # fmt: skip
from otel_celery import conventions as c

_A = {"job": "shop", "instance": "celery@a"}
_UP = {sample(c.WORKER_HEARTBEAT, **_A): "0+15x240"}
_T, _ST = of(TASK), of(STATE)


def _outcomes(state: str, values: str, task: str = "shop.pay", **more: str) -> dict[str, str]:
    points = {c.QUEUE: "orders", c.TASK_NAME: task, c.TASK_STATE: state}
    if error := more.pop("error", ""):
        points[c.ERROR_TYPE] = error
    if more.pop("expected", ""):
        points[c.TASK_EXPECTED] = "true"
    return {sample(c.OUTCOMES, points, **_A): values}


def _volume(window: str, by: str = TASK, least: int = limit.VOLUME) -> str:
    """Return a condition: so many deliveries ended that a share of them means something."""
    return f"and on ({by}) sum by ({by}) (increase({select(c.OUTCOMES)}[{window}])) >= {least}"


def _failing(above: float, severity: str, wait: str, cases: tuple[Case, ...]) -> Alert:
    return Alert(
        "CeleryTaskFailureRatio",
        f"celery:failure_ratio > {above}\n{_volume('5m')}",
        wait,
        severity,
        APPLICATION,
        f"{_T}: {PERCENT} of its deliveries fail",
        "Failures are final: the exception was not retried, or retries are used up. Exceptions"
        " that the task lists in `throws` are left out.",
        cases,
    )


_FAILURES = (
    Case(
        "one in ten fails: a warning",
        {**_outcomes("success", "0+9x120"), **_outcomes("failure", "0+1x120", error="KeyError")},
        fires=(({TASK: "shop.pay", "severity": WARNING}, "shop.pay: 10% of its deliveries fail"),),
    ),
    Case(
        "half of them fail: both steps",
        {**_outcomes("success", "0+5x120"), **_outcomes("failure", "0+5x120", error="KeyError")},
        fires=tuple(
            ({TASK: "shop.pay", "severity": severity}, "shop.pay: 50% of its deliveries fail")
            for severity in (WARNING, CRITICAL)
        ),
    ),
    Case(
        "half of them raise what the task expects",
        {
            **_outcomes("success", "0+5x120"),
            **_outcomes("failure", "0+5x120", error="CardDeclined", expected="true"),
        },
    ),
    Case(
        "the only three of the window fail: too few to speak of a share",
        {**_outcomes("failure", "0x60 1 2 3 3x60", error="KeyError")},
        at="16m",
    ),
    Case(
        "one failure in a hundred: both sides of the ratio are summed over states",
        {**_outcomes("success", "0+99x120"), **_outcomes("failure", "0+1x120", error="KeyError")},
    ),
)  # fmt: skip

_BAD = f'=~"{c.FAILURE}|{c.TIMEOUT}|{c.LOST}"'
_KEY_TASK_FAILED = select(
    c.OUTCOMES,
    {
        c.TASK_STATE: _BAD,
        c.TASK_EXPECTED: '!="true"',
        c.TASK_NAME: f'=~"{limit.CRITICAL_TASKS}"',
    },
)
_KILLED = select(c.OUTCOMES, {c.TASK_STATE: f'=~"{c.LOST}|{c.TIMEOUT}"'})

ALERTS = (
    *(
        _failing(above, severity, wait, _FAILURES if not number else ())
        for number, (above, severity, wait) in enumerate(limit.FAILURES)
    ),
    Alert(
        "CelerySuccessRatioLow",
        f"celery:success_ratio < {limit.SUCCESS}\n{_volume('5m')}",
        "15m",
        WARNING,
        APPLICATION,
        f"{_T}: only {PERCENT} end in success",
        "Of the deliveries that ended for good. Besides failures this counts what was rejected,"
        " revoked or expired; retries and what a task expects are left out.",
        (
            Case(
                "one in ten is rejected",
                {**_outcomes("success", "0+9x120"), **_outcomes("rejected", "0+1x120")},
                fires=(({TASK: "shop.pay"}, "shop.pay: only 90% end in success"),),
            ),
            Case(
                "none ever succeeded",
                _outcomes("rejected", "0+1x120"),
                fires=(({TASK: "shop.pay"}, "shop.pay: only 0% end in success"),),
            ),
            Case(
                "each one is tried twice and succeeds",
                {
                    **_outcomes("success", "0+9x120"),
                    **_outcomes("retry", "0+9x120", error="Timeout"),
                },
            ),
        ),
    ),
    Alert(
        "CeleryCriticalTaskFailed",
        f"{growth(_KEY_TASK_FAILED, '2m', f'{TASK}, {ERROR}', ALIVE)} > 0.5",
        "0s",
        CRITICAL,
        APPLICATION,
        f"{_T} failed for good with {of(ERROR)}",
        "A task that must not fail (CRITICAL_TASKS of the thresholds) failed or was killed in the"
        " last two minutes.",
        (
            Case(
                "the first error of its class, in a series that begins at 1",
                {
                    **_UP,
                    **_outcomes("failure", "_x20 1x40", task="shop.payment", error="GatewayError"),
                },
                at="5m30s",
                fires=(
                    (
                        {TASK: "shop.payment", ERROR: "GatewayError"},
                        "shop.payment failed for good with GatewayError",
                    ),
                ),
            ),
            Case(
                "the scrapes had a hole: the same series again is no new failure",
                {
                    sample(c.WORKER_HEARTBEAT, **_A): "0+15x19 stale _x8 450+15x40",
                    **_outcomes("failure", "7x19 stale _x8 7x40", task="shop.payment", error="E"),
                },
                at="8m",
            ),
            Case(
                "another task fails",
                {**_UP, **_outcomes("failure", "_x20 1x40", task="shop.mail", error="E")},
                at="5m30s",
            ),
        ),
    ),
    Alert(
        "CeleryTaskRetryRatio",
        f'celery:outcome_ratio{{{STATE}="{c.RETRY}"}} > {limit.RETRIES}\n{_volume("5m")}',
        "15m",
        WARNING,
        APPLICATION,
        f"{_T}: {PERCENT} of its deliveries end in a retry",
        "Something the task needs is failing now and then; load and waiting grow with it.",
        (
            Case(
                "one in five is tried again",
                {
                    **_outcomes("success", "0+8x120"),
                    **_outcomes("retry", "0+2x120", error="Timeout"),
                },
                fires=(
                    (
                        {TASK: "shop.pay", STATE: "retry"},
                        "shop.pay: 20% of its deliveries end in a retry",
                    ),
                ),
            ),
            Case(
                "one in twenty",
                {
                    **_outcomes("success", "0+19x120"),
                    **_outcomes("retry", "0+1x120", error="Timeout"),
                },
            ),
        ),
    ),
    Alert(
        "CeleryTaskTimeoutRatio",
        f"celery:timeout_ratio > {limit.TIMEOUTS}\n{_volume('15m', least=100)}",
        "5m",
        WARNING,
        APPLICATION,
        f"{_T}: {PERCENT} of its deliveries hit a time limit",
        "Hard limits, which kill the process, and soft ones that the task did not catch.",
        (
            Case(
                "one in fifty, some by the soft limit",
                {
                    **_outcomes("success", "0+98x120"),
                    **_outcomes("timeout", "0+1x120", error="TimeLimitExceeded"),
                    **_outcomes("failure", "0+1x120", error="SoftTimeLimitExceeded"),
                },
                fires=(({TASK: "shop.pay"}, "shop.pay: 2% of its deliveries hit a time limit"),),
            ),
            Case(
                "one in two hundred",
                {
                    **_outcomes("success", "0+199x120"),
                    **_outcomes("timeout", "0+1x120", error="TimeLimitExceeded"),
                },
            ),
        ),
    ),
    Alert(
        "CeleryTaskKilled",
        f"{growth(_KILLED, '10m', f'{TASK}, {STATE}', ALIVE)} > 0.5",
        "0s",
        WARNING,
        APPLICATION,
        f"{_T}: {COUNT} ended as {_ST} in 10 minutes",
        "`lost`: the process died under the task, by a signal, for want of memory or by"
        " a crash. `timeout`: the hard time limit ended it. No code of the task ran afterwards.",
        (
            Case(
                "the first that was lost",
                {**_UP, **_outcomes("lost", "_x60 1x40", error="WorkerLostError")},
                at="16m",
                fires=(
                    (
                        {TASK: "shop.pay", STATE: "lost"},
                        "shop.pay: 1 ended as lost in 10 minutes",
                    ),
                ),
            ),
            Case(
                "lost an hour ago",
                {**_UP, **_outcomes("lost", "1x120", error="WorkerLostError")},
            ),
        ),
    ),
)
