"""Does beat send what is due, once and in time?"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.promql import ENTRY, JOB, above, quantile, select
from collector.catalogue.rules import (
    CRITICAL,
    DURATION,
    OPERATIONS,
    VALUE,
    WARNING,
    Alert,
    Case,
    of,
    sample,
)
from otel_celery import conventions as c

_A = {"job": "shop-beat", "instance": "7a0c"}
_B = {"job": "shop-beat", "instance": "93fe"}
_BEAT = select(c.BEAT_HEARTBEAT)


def _turns(values: str, process: dict[str, str] = _A) -> dict[str, str]:
    return {sample(c.BEAT_HEARTBEAT, **process): values}


def _late(quick: str, all_: str) -> dict[str, str]:
    points = {c.BEAT_ENTRY: "count-stock"}
    return {
        sample(c.LATENESS, points, "_bucket", **_A, le="1.0"): quick,
        sample(c.LATENESS, points, "_bucket", **_A, le="30.0"): quick,
        sample(c.LATENESS, points, "_bucket", **_A, le="60.0"): all_,
        sample(c.LATENESS, points, "_bucket", **_A, le="+Inf"): all_,
        sample(c.LATENESS, points, "_count", **_A): all_,
    }


ALERTS = (
    Alert(
        "CeleryBeatSilent",
        f"min by ({JOB}) (celery:beat_heartbeat_age:seconds) > {limit.BEAT_SECONDS}\n"
        f"or (count by ({JOB}) (last_over_time({_BEAT}[1d])) unless on ({JOB}) {_BEAT})",
        "5m",
        CRITICAL,
        OPERATIONS,
        f"{of('job')}: beat is silent, nothing is scheduled",
        "Its loop stands still, or the process is gone. beat sleeps for up to five minutes"
        " (beat_max_loop_interval) when nothing is due; that is allowed for.",
        (
            Case(
                "its loop stands still",
                _turns("0+15x20 300x100"),
                fires=(
                    ({JOB: "shop-beat"}, "shop-beat: beat is silent, nothing is scheduled"),
                ),
            ),
            Case(
                "the process is gone",
                _turns("0+15x20 stale"),
                fires=(
                    ({JOB: "shop-beat"}, "shop-beat: beat is silent, nothing is scheduled"),
                ),
            ),
            Case(
                "it went three hours ago, and nobody started it again",
                _turns("0+15x20 stale"),
                at="3h",
                fires=(
                    ({JOB: "shop-beat"}, "shop-beat: beat is silent, nothing is scheduled"),
                ),
            ),
            Case("it sleeps for five minutes", _turns("0x19 300x19 600x19 900x40"), at="19m45s"),
            Case(
                "a deploy: another process goes on",
                {**_turns("0+15x20 stale"), **_turns("_x24 360+15x100", _B)},
            ),
            Case("a second one stands by", {**_turns("0+15x100"), **_turns("0x100", _B)}),
        ),
    ),
    Alert(
        "CeleryTwoBeats",
        f"count by ({JOB}) (celery:beat_heartbeat_age:seconds < {limit.BEAT_SECONDS}) > 1",
        "5m",
        CRITICAL,
        OPERATIONS,
        f"{of('job')}: {VALUE} beats run, each entry is sent as often",
        "Two processes with one schedule, unless they share a lock or are of two apps that share"
        " a service.name.",
        (
            Case(
                "two run",
                {**_turns("0+15x100"), **_turns("0+15x100", _B)},
                fires=(
                    ({JOB: "shop-beat"},
                     "shop-beat: 2 beats run, each entry is sent as often"),
                ),
            ),
            Case(
                "a deploy: the old one's last value stays for a minute",
                {**_turns("0+15x20 300x4 stale"), **_turns("_x20 300+15x100", _B)},
                at="9m",
            ),
        ),
    ),
    Alert(
        "CeleryBeatLate",
        f"{quantile(0.95, c.LATENESS, ENTRY, '15m')} > {limit.BEAT_LATE_SECONDS}\n"
        f"and on ({ENTRY}) {above(c.LATENESS, limit.BEAT_LATE_SECONDS, ENTRY, '15m')} > 1.5",
        "10m",
        WARNING,
        OPERATIONS,
        f"{of(ENTRY)} is sent {DURATION} after it is due",
        "One time in twenty and twice at least, in the last quarter of an hour. Publishing is slow,"
        " the schedule is large, or the machine is busy.",
        (
            Case(
                "each one",
                _late("0x200", "0+1x200"),
                at="30m",
                fires=(({ENTRY: "count-stock"}, "count-stock is sent 58.5s after it is due"),),
            ),
            Case(
                "each one, in a native histogram",
                {
                    sample(c.LATENESS, {c.BEAT_ENTRY: "count-stock"}, **_A): "{{schema:0 count:0"
                    " buckets:[0]}}+{{schema:0 sum:50 count:1 buckets:[0 0 0 0 0 0 1]}}x200"
                },
                at="30m",
                fires=(({ENTRY: "count-stock"}, "count-stock is sent 1m 1s after it is due"),),
            ),
            Case("the only one was late, once", _late("0x200", "0x100 1x100"), at="37m"),
            Case("in time", _late("0+1x200", "0+1x200"), at="30m"),
        ),
    ),
)  # fmt: skip
