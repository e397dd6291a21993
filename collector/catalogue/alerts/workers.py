"""Are the workers there, and well?"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.alerts.pipeline import OF_WORKERS
from collector.catalogue.promql import JOB, WORKER, remembered, select
from collector.catalogue.recording import ALIVE, FRESH
from collector.catalogue.rules import (
    COUNT,
    CRITICAL,
    DURATION,
    INFO,
    OPERATIONS,
    VALUE,
    WARNING,
    Alert,
    Case,
    of,
    sample,
)
from otel_celery import conventions as c

_A = {"job": "shop", "instance": "celery@a"}
_B = {"job": "shop", "instance": "celery@b"}
_W = f"{of('instance')} of {of('job')}"


def _up(worker: dict[str, str] = _A, values: str = "0+15x300") -> dict[str, str]:
    return {sample(c.WORKER_HEARTBEAT, **worker): values}


def _connected(values: str, worker: dict[str, str] = _A) -> dict[str, str]:
    return {sample(c.BROKER_CONNECTED, **worker): values}


def _held(state: str, values: str) -> dict[str, str]:
    return {sample(c.TASK_COUNT, {c.HELD_STATE: state}, **_A): values}


_MAY_BE_NONE = [job for job, least in limit.EXPECTED_WORKERS.items() if not least]
_NEEDED = f'{{{JOB}!~"{"|".join(_MAY_BE_NONE)}"}}' if _MAY_BE_NONE else ""
_ABSENT = "" if _MAY_BE_NONE else "\nor absent(celery:workers_online)"
_IN_HAND = select(c.TASK_COUNT, {c.HELD_STATE: '=~"active|reserved"'})
_CPU = select(c.WORKER_CPU)
_CONNECTED = select(c.BROKER_CONNECTED)
_EXPECTED = remembered("celery:workers_expected")
_SCRAPED = f'up{{job="{OF_WORKERS}"}}'
_BEFORE = f"last_over_time({ALIVE}[1h] offset 5m)"

ALERTS = (
    Alert(
        "CeleryNoWorkers",
        f"celery:workers_online{_NEEDED} == 0{_ABSENT}",
        "2m",
        CRITICAL,
        OPERATIONS,
        "{{ with $labels.job }}{{ . }}: {{ end }}no worker is online",
        "There was one within the last day, or there is none at all. A service that may scale to"
        " none gets a row with 0 in EXPECTED_WORKERS of the thresholds.",
        (
            Case(
                "the last one went",
                _up(values="0+15x20 stale"),
                at="9m",
                fires=(({JOB: "shop"}, "shop: no worker is online"),),
            ),
            Case(
                "the only one is hung: its heartbeat is exported, and old",
                _up(values="0x60"),
                at="5m",
                fires=(({JOB: "shop"}, "shop: no worker is online"),),
            ),
            Case("nobody ever was", {}, fires=(({}, "no worker is online"),)),
            Case("one of two goes", {**_up(), **_up(_B, "0+15x20 stale")}),
            Case(
                "a rolling restart: the next one is there before the first has gone",
                {**_up(values="0+15x20 stale"), **_up(_B, "_x19 285+15x100")},
            ),
        ),
    ),
    Alert(
        "CeleryWorkersMissing",
        f"celery:workers_online < on ({JOB}) {_EXPECTED}\n"
        f"or 0 * ({_EXPECTED} unless on ({JOB}) celery:workers_online)",
        "10m",
        WARNING,
        OPERATIONS,
        f"{of('job')}: only {VALUE} workers are online",
        "Fewer than EXPECTED_WORKERS of the thresholds says; for a service without a row, fewer"
        " than half of the median of its last day.",
        (
            Case(
                "one of three is left",
                {**_up(), **_up(_B, "0+15x80 stale"),
                 **_up({**_A, "instance": "celery@c"}, "0+15x80 stale")},
                at="35m",
                fires=(({JOB: "shop"}, "shop: only 1 workers are online"),),
            ),
            Case(
                "none ever came, and Prometheus was restarted: what it expects comes later",
                {**_up(), sample("celery:workers_expected", job="batch"): "2x80 stale"},
                at="26m",
                fires=(({JOB: "batch"}, "batch: only 0 workers are online"),),
            ),
            Case("one of two is left", {**_up(), **_up(_B, "0+15x80 stale")}, at="35m"),
        ),
    ),
    Alert(
        "CeleryWorkerHung",
        f"celery:worker_heartbeat_age:seconds > {FRESH}\n"
        f"unless on ({WORKER}) {_CONNECTED} == 0",
        "2m",
        WARNING,
        OPERATIONS,
        f"{_W}: its loop has not turned for {DURATION}",
        "The process lives and exports, but its event loop stands still, and the broker is"
        " connected. It takes no messages and may send no heartbeats to the broker.",
        (
            Case(
                "the loop stands still",
                {**_up(values="0+15x20 300x60"), **_connected("1x100")},
                at="10m",
                fires=((_A, "celery@a of shop: its loop has not turned for 5m 0s"),),
            ),
            Case(
                "the broker is away, and the loop waits for it",
                {**_up(values="0+15x20 300x60"), **_connected("1x20 0x60")},
                at="10m",
            ),
            Case(
                "it was stopped: its last values stay for a minute",
                {**_up(values="0+15x20 300x4 stale"), **_connected("1x24 stale")},
                at="7m",
            ),
        ),
    ),
    Alert(
        "CeleryWorkerGone",
        f"sum by ({WORKER}) (last_over_time({_IN_HAND}[10m])) > 0\n"
        f"unless on ({WORKER}) {ALIVE}\n"
        # Their series go with the Collector's, and come back with their next export.
        f"unless on () (\n"
        f"  min_over_time({_SCRAPED}[3m]) == 0 and max_over_time({_SCRAPED}[15m]) == 1\n"
        f")",
        "1m",
        WARNING,
        OPERATIONS,
        f"{_W} is gone, with {VALUE} deliveries in hand",
        "It ended without giving back what it held: killed, out of memory, or its machine is gone."
        " With acks_late the messages come again; without, they are lost. A worker that is stopped"
        " holds nothing at its end and is not told of.",
        (
            Case(
                "killed while it ran four and held two",
                {**_up(values="0+15x20 stale"), **_held("active", "4x20 stale"),
                 **_held("reserved", "2x20 stale")},
                at="7m",
                fires=((_A, "celery@a of shop is gone, with 6 deliveries in hand"),),
            ),
            Case(
                "stopped: it gave everything back",
                {**_up(values="0+15x20 stale"), **_held("active", "4x18 0x1 stale"),
                 **_held("reserved", "2x18 0x1 stale")},
                at="7m",
            ),
            Case("busy and there", {**_up(), **_held("active", "4x100")}),
            Case(
                "busy, and the Collector was away for two minutes",
                {
                    sample("up", job=OF_WORKERS, instance="collector:8889"): "1x20 0x8 1x60",
                    **_up(values="0+15x20 stale _x8 450+15x60"),
                    **_held("active", "4x20 stale _x8 4x60"),
                },
                at="7m",
            ),
            Case(
                "killed, while another Collector has long been away",
                {
                    sample("up", job=OF_WORKERS, instance="collector:8889"): "1x100",
                    sample("up", job=OF_WORKERS, instance="spare:8889"): "0x100",
                    **_up(values="0+15x80 stale"),
                    **_held("active", "4x80 stale"),
                },
                at="22m",
                fires=((_A, "celery@a of shop is gone, with 4 deliveries in hand"),),
            ),
        ),
    ),
    Alert(
        "CeleryWorkerRestarted",
        f"max by ({WORKER}) (resets({_CPU}[10m])) > 0\n"
        f"or (\n"
        f"  0 * max by ({WORKER}) ({ALIVE} unless on ({WORKER}) {_BEFORE}) + 1\n"
        f"  and on ({JOB}) {_BEFORE}\n"
        f")",
        "0s",
        INFO,
        OPERATIONS,
        f"{_W} began a moment ago",
        "A worker of this name began anew in the last ten minutes, or a new one joined in the last"
        " five.",
        (
            Case(
                "its counters begin again",
                {**_up(), sample(c.WORKER_CPU, **_A): "100+1x40 2+1x60"},
                at="12m",
                fires=((_A, "celery@a of shop began a moment ago"),),
            ),
            Case(
                "another joined",
                {**_up(), **_up(_B, "_x40 600+15x100")},
                at="12m",
                fires=((_B, "celery@b of shop began a moment ago"),),
            ),
            Case("a hole in the scrapes", _up(values="0+15x40 stale _x7 720+15x60"), at="13m"),
            Case("the first workers of all", _up(), at="2m"),
        ),
    ),
    Alert(
        "CeleryWorkerRestarting",
        f"max by ({WORKER}) (resets({_CPU}[15m])) >= 3",
        "0s",
        WARNING,
        OPERATIONS,
        f"{_W} began anew {COUNT} times in 15 minutes",
        "Something ends it again and again: a message that crashes it, a probe that is too strict,"
        " a limit of memory.",
        (
            Case(
                "each three minutes",
                {**_up(), sample(c.WORKER_CPU, **_A): "50x12 5x12 4x12 3x12 2x12"},
                at="14m",
                fires=((_A, "celery@a of shop began anew 4 times in 15 minutes"),),
            ),
            Case("a deploy", {**_up(), sample(c.WORKER_CPU, **_A): "50x30 5x60"}, at="14m"),
        ),
    ),
)  # fmt: skip
