"""Can the other alerts be believed? What otel-celery lost, skipped or could not say."""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.names import label, series
from collector.catalogue.promql import ERROR, JOB, WORKER, growth, select
from collector.catalogue.recording import ALIVE
from collector.catalogue.rules import (
    COUNT,
    INFO,
    TELEMETRY,
    VALUE,
    WARNING,
    Alert,
    Case,
    of,
    sample,
)
from otel_celery import conventions as c
from otel_celery.lane_metrics import LOG_ROWS, SPAN_ROWS

_A = {"job": "shop", "instance": "celery@a"}
_UP = {sample(c.WORKER_HEARTBEAT, **_A): "0+15x300"}
_W = f"{of('instance')} of {of('job')}"
_HOOK = label(c.HOOK)


def _dropped(metric: c.Metric, by: str = WORKER) -> str:
    where = {c.ERROR_TYPE: '!=""'} if c.ERROR_TYPE in metric.keys else {}
    return growth(select(metric, where), "10m", by, ALIVE)


ALERTS = (
    Alert(
        "CeleryTelemetryLost",
        "\nor ".join(
            f'label_replace({_dropped(metric, f"{WORKER}, {ERROR}")},'
            f' "signal", "{signal}", "", "") > 0.5'
            for signal, rows in (("spans", SPAN_ROWS), ("log records", LOG_ROWS))
            for metric in (rows.exported, rows.processed)
        ),
        "0s",
        WARNING,
        TELEMETRY,
        f"{_W} dropped {COUNT} {of('signal')} in 10 minutes: {of(ERROR)}",
        "The Collector did not take them in time. `queue_full`: it was away for long, or there is"
        " more than can be sent. Metrics are not lost: they are repeated at each export.",
        (
            Case(
                "the queue ran full",
                {
                    **_UP,
                    sample(SPAN_ROWS.processed, {c.ERROR_TYPE: "queue_full"}, **_A): "_x60 40x40",
                },
                at="16m",
                fires=(
                    (
                        {**_A, ERROR: "queue_full", "signal": "spans"},
                        "celery@a of shop dropped 40 spans in 10 minutes: queue_full",
                    ),
                ),
            ),
            Case(
                "a publisher's Collector was away",
                {
                    sample(
                        LOG_ROWS.exported,
                        {c.ERROR_TYPE: "timeout"},
                        job="web",
                        instance="7a0c",
                    ): "0x40 0+1x60",
                },
                at="20m",
                fires=(
                    (
                        {"job": "web", "instance": "7a0c", ERROR: "timeout",
                         "signal": "log records"},
                        "7a0c of web dropped 39 log records in 10 minutes: timeout",
                    ),
                ),
            ),
            Case(
                "spans are exported",
                {**_UP, sample(SPAN_ROWS.exported, **_A): "0+40x100"},
                at="16m",
            ),
        ),
    ),
    Alert(
        "CeleryTelemetryDropped",
        " or\n".join(
            f'label_replace({_dropped(metric)}, "what", "{series(metric)}", "", "") > 0.5'
            for metric in (c.RELAY_DROPPED, c.FACTS_DROPPED)
        ),
        "0s",
        WARNING,
        TELEMETRY,
        f"{_W} dropped {COUNT} records in 10 minutes ({of('what')})",
        "Spans of the user from pool processes (relay), or contents of spans (facts). Counts of"
        " tasks are exact all the same.",
        (
            Case(
                "the relay was full",
                {**_UP, sample(c.RELAY_DROPPED, **_A): "_x60 7x40"},
                at="16m",
                fires=(
                    (
                        {**_A, "what": series(c.RELAY_DROPPED)},
                        "celery@a of shop dropped 7 records in 10 minutes"
                        f" ({series(c.RELAY_DROPPED)})",
                    ),
                ),
            ),
            Case("long ago", {**_UP, sample(c.RELAY_DROPPED, **_A): "7x100"}, at="16m"),
        ),
    ),
    Alert(
        "CeleryTelemetryFaults",
        f"{growth(select(c.FAULTS), '10m', f'{JOB}, {_HOOK}', ALIVE)} > 0.5",
        "0s",
        WARNING,
        TELEMETRY,
        f"{of('job')}: otel-celery's hook {of(_HOOK)} raised {COUNT} times in 10 minutes",
        "A fault of otel-celery, kept away from the task. The log has the traceback, once a"
        " minute. Please report it.",
        (
            Case(
                "the first",
                {**_UP, sample(c.FAULTS, {c.HOOK: "beat"}, **_A): "_x60 1x40"},
                at="16m",
                fires=(
                    (
                        {JOB: "shop", _HOOK: "beat"},
                        "shop: otel-celery's hook beat raised 1 times in 10 minutes",
                    ),
                ),
            ),
            Case("yesterday", {**_UP, sample(c.FAULTS, {c.HOOK: "beat"}, **_A): "1x100"}),
        ),
    ),
    Alert(
        "CeleryTelemetryBehind",
        f"max by ({WORKER}) ({select(c.BACKLOG)}) > {limit.BACKLOG}",
        "5m",
        WARNING,
        TELEMETRY,
        f"{_W}: {VALUE} facts are not yet telemetry",
        "The worker's background thread does not keep up, mostly for want of processor time. Its"
        " numbers lag behind.",
        (
            Case(
                "for a quarter of an hour",
                {sample(c.BACKLOG, **_A): "9000x100"},
                fires=((_A, "celery@a of shop: 9k facts are not yet telemetry"),),
            ),
            Case("a burst", {sample(c.BACKLOG, **_A): "0x60 9000x10 0x30"}, at="17m30s"),
        ),
    ),
    Alert(
        "CeleryNamesOverflow",
        f"{growth(select(c.OVERFLOWS), '1h', WORKER, ALIVE)} > 0.5",
        "0s",
        INFO,
        TELEMETRY,
        f"{_W}: {COUNT} names were counted as _OTHER in an hour",
        "More than 200 tasks, 50 queues or 30 error classes of one task. Names that are made at"
        " run time do this.",
        (
            Case(
                "queues with ids in their names",
                {**_UP, sample(c.OVERFLOWS, **_A): "0x20 30x300"},
                at="1h",
                fires=(
                    (_A, "celery@a of shop: 30 names were counted as _OTHER in an hour"),
                ),
            ),
            Case("none", {**_UP, sample(c.OVERFLOWS, **_A): "0x300"}, at="1h"),
        ),
    ),
    Alert(
        "CeleryClockSkew",
        f"{growth(select(c.SKEW_CORRECTIONS), '15m', WORKER, ALIVE)} > {limit.VOLUME + 0.5}",
        "0s",
        INFO,
        TELEMETRY,
        f"{_W}: {COUNT} tasks began before they were sent, by the clocks, in 15 minutes",
        "The clocks of publisher and worker disagree. Their waits are counted as 0, so that the"
        " waiting of this queue looks shorter than it is.",
        (
            Case(
                "each task",
                {**_UP, sample(c.SKEW_CORRECTIONS, **_A): "0+1x100"},
                fires=(
                    (
                        _A,
                        "celery@a of shop: 60 tasks began before they were sent, by the clocks,"
                        " in 15 minutes",
                    ),
                ),
            ),
            Case("twenty", {**_UP, sample(c.SKEW_CORRECTIONS, **_A): "90x60 110x40"}),
            Case("one, by milliseconds", {**_UP, sample(c.SKEW_CORRECTIONS, **_A): "0x60 1x40"}),
        ),
    ),
)  # fmt: skip
