"""Does the Collector take everything, and pass it on?

Names of its own metrics are as version 0.158 shows them on port 8888; a test asks the real one.
"""

from __future__ import annotations

from collector.catalogue import thresholds as limit
from collector.catalogue.promql import WORKER, growth
from collector.catalogue.rules import (
    COUNT,
    CRITICAL,
    PERCENT,
    TELEMETRY,
    WARNING,
    Alert,
    Case,
    of,
    sample,
)

OF_WORKERS, OF_ITSELF = "otel-celery", "otelcol-celery"
"""The jobs of prometheus.yml that scrape the Collector: what it was sent, and what it says."""

UPTIME = "otelcol_process_uptime_seconds_total"
REFUSED = "otelcol_receiver_refused_{}_total"
NOT_QUEUED = "otelcol_exporter_enqueue_failed_{}_total"
NOT_SENT = "otelcol_exporter_send_failed_{}_total"
QUEUE_SIZE, QUEUE_CAPACITY = "otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity"
TRACES = "otelcol_processor_tail_sampling_new_trace_id_received_total"
JUDGED = "otelcol_processor_tail_sampling_global_count_traces_sampled_total"
WAITING = "otelcol_processor_tail_sampling_sampling_traces_on_memory"
SIGNALS = ("spans", "metric_points", "log_records")

# The sampler's own counter of dropped traces counts every kept one with sampling_strategy
# span-ingest. What came, was not judged and is not there any more has been forgotten.
_TRACES = f"sum by (job, instance) ({TRACES})"
_FORGOTTEN = (
    f"{_TRACES}\n- (sum by (job, instance) ({JUDGED}) or 0 * {_TRACES})\n"
    f"- sum by (job, instance) ({WAITING})"
)

_A = {"job": OF_ITSELF, "instance": "collector:8888"}
_I = of("instance")
_TARGET = sample("up", job=OF_WORKERS, instance="collector:8889")
_SPARE = sample("up", job=OF_WORKERS, instance="spare:8889")
_OWN = sample("up", **_A)


def _grew(name: str, by: str) -> str:
    """Return how much one counter of each signal grew in five minutes, where it did.

    One query a signal: `increase()` of several names at once would meet the same labels twice.
    """
    return "\nor ".join(
        f"label_replace({growth(name.format(signal), '5m', f'{WORKER}, {by}', UPTIME)},"
        f' "signal", "{signal}", "", "") > 0.5'
        for signal in SIGNALS
    )


_UP = {sample(UPTIME, **_A): "0+15x200"}


def _spans(name: str, values: str, **labels: str) -> dict[str, str]:
    return {sample(name.format("spans"), **_A, **labels): values}


def _points(name: str, values: str, **labels: str) -> dict[str, str]:
    return {sample(name.format("metric_points"), **_A, **labels): values}


ALERTS = (
    Alert(
        "CeleryCollectorDown",
        f'max by (job) (up{{job="{OF_WORKERS}"}}) == 0\nor absent(up{{job="{OF_WORKERS}"}})',
        "1m",  # before the alerts that it holds back
        CRITICAL,
        TELEMETRY,
        "The Collector is down: nothing is known of Celery",
        "Prometheus can scrape none. Workers go on and keep their counts; spans wait for a while"
        " and are dropped then. Alerts about workers and queues are held back.",
        (
            Case(
                "it does not answer",
                {_TARGET: "1x20 0x60"},
                at="10m",
                fires=(
                    ({"job": OF_WORKERS}, "The Collector is down: nothing is known of Celery"),
                ),
            ),
            Case(
                "it answers again, and workers have not told it of themselves yet",
                {_TARGET: "1x20 0x12 1x60"},
                at="9m30s",
                fires=(
                    ({"job": OF_WORKERS}, "The Collector is down: nothing is known of Celery"),
                ),
            ),
            Case("it has answered for three minutes", {_TARGET: "1x20 0x12 1x60"}, at="11m30s"),
            Case("one of two", {_TARGET: "1x80", _SPARE: "1x20 0x60"}, at="15m"),
            Case("only its own page is missing", {_TARGET: "1x80", _OWN: "1x20 0x60"}, at="15m"),
            Case(
                "nobody scrapes it",
                {},
                fires=(
                    ({"job": OF_WORKERS}, "The Collector is down: nothing is known of Celery"),
                ),
            ),
            Case(
                "a restart of a minute",
                {_TARGET: "1x20 0x4 1x60"},
                at="6m30s",
            ),
        ),
        keep="2m",
    ),
    Alert(
        "CeleryCollectorUnreachable",
        f'up{{job=~"{OF_WORKERS}|{OF_ITSELF}"}} == 0',
        "2m",
        WARNING,
        TELEMETRY,
        f"Prometheus cannot scrape {of('instance')} of {of('job')}",
        "One of several Collectors, or the page on which it tells of itself. What this one was sent"
        " is not known; the others' alerts go on.",
        (
            Case(
                "one of two",
                {_TARGET: "1x80", _SPARE: "1x20 0x60"},
                at="15m",
                fires=(
                    (
                        {"job": OF_WORKERS, "instance": "spare:8889"},
                        "Prometheus cannot scrape spare:8889 of otel-celery",
                    ),
                ),
            ),
            Case(
                "only its own page is missing",
                {_TARGET: "1x80", _OWN: "1x20 0x60"},
                at="15m",
                fires=((_A, "Prometheus cannot scrape collector:8888 of otelcol-celery"),),
            ),
            Case("a restart of a minute", {_TARGET: "1x20 0x4 1x60"}, at="6m30s"),
        ),
    ),
    Alert(
        "CeleryCollectorRefusing",
        _grew(REFUSED, "receiver"),
        "5m",
        WARNING,
        TELEMETRY,
        f"The Collector {_I} refused {COUNT} {of('signal')} in 5 minutes",
        "Its memory limiter is at the limit. The senders try again for a while.",
        (
            Case(
                "for ten minutes",
                {**_UP, **_spans(REFUSED, "0x40 0+20x100", receiver="otlp", transport="http"),
                    **_points(REFUSED, "0x140", receiver="otlp", transport="http")},
                fires=(
                    (
                        {**_A, "receiver": "otlp", "signal": "spans"},
                        "The Collector collector:8888 refused 400 spans in 5 minutes",
                    ),
                ),
            ),
            Case(
                "once",
                {**_UP, **_spans(REFUSED, "0x60 20x100", receiver="otlp", transport="http")},
                at="21m",
            ),
        ),
    ),
    Alert(
        "CeleryCollectorQueueFull",
        f"max by (job, instance, exporter, data_type) ({QUEUE_SIZE} / {QUEUE_CAPACITY})"
        f" > {limit.QUEUE_FULL}",
        "5m",
        WARNING,
        TELEMETRY,
        f"The Collector's queue for {of('exporter')} is {PERCENT} full",
        "What stands behind this exporter is down or too slow. At 100 % data are dropped.",
        (
            Case(
                "nine tenths",
                {
                    sample(QUEUE_SIZE, **_A, exporter="otlp_http", data_type="traces"): "90x100",
                    sample(QUEUE_CAPACITY, **_A, exporter="otlp_http", data_type="traces"):
                    "100x100",
                },
                fires=(
                    (
                        {**_A, "exporter": "otlp_http", "data_type": "traces"},
                        "The Collector's queue for otlp_http is 90% full",
                    ),
                ),
            ),
            Case(
                "half of it",
                {
                    sample(QUEUE_SIZE, **_A, exporter="otlp_http", data_type="traces"): "50x100",
                    sample(QUEUE_CAPACITY, **_A, exporter="otlp_http", data_type="traces"):
                    "100x100",
                },
            ),
        ),
    ),
    Alert(
        "CeleryCollectorLosing",
        f"{_grew(NOT_QUEUED, 'exporter')}\nor {_grew(NOT_SENT, 'exporter')}",
        "0s",
        WARNING,
        TELEMETRY,
        f"The Collector lost {COUNT} {of('signal')} for {of('exporter')} in 5 minutes",
        "Its queue was full, or the exporter gave up. They are gone.",
        (
            Case(
                "the first that did not fit, in a counter that begins at 12",
                {**_UP, **_spans(NOT_QUEUED, "_x60 12x60", exporter="otlp_http")},
                at="16m",
                fires=(
                    (
                        {**_A, "exporter": "otlp_http", "signal": "spans"},
                        "The Collector lost 12 spans for otlp_http in 5 minutes",
                    ),
                ),
            ),
            Case(
                "long ago",
                {**_UP, **_spans(NOT_SENT, "12x100", exporter="otlp_http")},
            ),
        ),
    ),
    Alert(
        "CeleryTracesDroppedEarly",
        f"delta(({_FORGOTTEN})[5m:15s])\n"
        f"> clamp_min(0.01 * sum by (job, instance) (increase({TRACES}[5m])), 10)",
        "0s",
        WARNING,
        TELEMETRY,
        f"The Collector {_I} forgot {COUNT} traces early, in 5 minutes",
        "More traces came in decision_wait than TAIL_NUM_TRACES holds. Where their task fails or"
        " is slow after all, its own span is kept, and what came before is missing.",
        (
            Case(
                "too many at once",
                {
                    sample(TRACES, **_A): "0x40 0+20x100",
                    sample(JUDGED, **_A): "0x40 0+10x100",
                    sample(WAITING, **_A): "100x140",
                },
                fires=(
                    (_A, "The Collector collector:8888 forgot 200 traces early, in 5 minutes"),
                ),
            ),
            Case(
                "all judged or waiting",
                {
                    sample(TRACES, **_A): "0x40 0+20x100",
                    sample(JUDGED, **_A): "0x41 0+20x99",
                    sample(WAITING, **_A): "0x40 20x100",
                },
            ),
            Case(
                "none judged yet",
                {sample(TRACES, **_A): "0+9x140", sample(WAITING, **_A): "0+9x140"},
            ),
        ),
    ),
)  # fmt: skip
