"""Does telemetry itself arrive, whole and in time?"""

from __future__ import annotations

from collector.catalogue import promql as q
from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Panel, Query, Row
from collector.catalogue.names import label
from otel_celery import conventions as c
from otel_celery.lane_metrics import SPAN_ROWS as SPANS

# The Collector's own names, as its `metrics/readers` of collector.yaml give them.
ACCEPTED, REFUSED = "otelcol_receiver_accepted", "otelcol_receiver_refused"
SENT, NOT_SENT = "otelcol_exporter_sent", "otelcol_exporter_send_failed"
NOT_QUEUED = "otelcol_exporter_enqueue_failed"
QUEUE_SIZE, QUEUE_CAPACITY = "otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity"
SAMPLING = "otelcol_processor_tail_sampling"
SAMPLED = f"{SAMPLING}_global_count_traces_sampled_total"
BY_POLICY = f"{SAMPLING}_count_traces_sampled_total"
IN_MEMORY = f"{SAMPLING}_sampling_traces_on_memory"
MEMORY, CPU = "otelcol_process_memory_rss_bytes", "otelcol_process_cpu_seconds_total"
DROPPED = {c.ERROR_TYPE: '!=""'}
ITSELF = 'job=~"otelcol.*"'  # Jaeger is built from the same parts, and has the same names
SIGNALS = ("spans", "metric_points", "log_records")

NONE_AT_ALL: g.Steps = ((None, g.GREEN), (0.001, g.RED))
FULL: g.Steps = ((None, g.GREEN), (0.5, g.YELLOW), (0.8, g.RED))
UP: g.Steps = ((None, g.RED), (1, g.GREEN))


def _rates(name: str, by: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"sum by ({by}) (rate({name}_{signal}_total{{{ITSELF}}}[$__rate_interval]))",
            f"{signal.replace('_', ' ')} {t.show(by)}",
        )
        for signal in SIGNALS
    )


def _lost(signal: str) -> str:
    """Return items lost since the Collector started: a series begins with its first loss."""
    names = "|".join(f"{name}_{signal}_total" for name in (REFUSED, NOT_SENT, NOT_QUEUED))
    return f'sum(increase({{__name__=~"{names}", {ITSELF}}}[$__range])) or vector(0)'


now = Row(
    "Does it arrive?",
    (
        Panel(
            kind="stat",
            title="Collector up",
            says="Whether Prometheus reaches the Collector. 0: metrics have a hole from then on;"
            " counters lose nothing, since processes repeat their sums.",
            queries=(Query(f"min(up{{{ITSELF}}})"),),
            words={"0": "down", "1": "up"},
            steps=UP,
            width=4,
            height=4,
        ),
        Panel(
            kind="stat",
            title="Spans refused or not sent",
            says="In the time shown. Refused spans are tried again by their sender, and so are"
            " those that a backend did not take, until the queue is full.",
            queries=(Query(f"round({_lost('spans')})"),),
            unit="short",
            steps=((None, g.GREEN), (1, g.RED)),
            width=5,
            height=4,
        ),
        Panel(
            kind="stat",
            title="Metric points refused or not sent",
            says="In the time shown. A refused point is made good by the next export.",
            queries=(Query(f"round({_lost('metric_points')})"),),
            unit="short",
            steps=((None, g.GREEN), (1, g.RED)),
            width=5,
            height=4,
        ),
        Panel(
            kind="stat",
            title="Spans dropped by SDKs",
            says="Spans that processes of yours could not deliver, in the time shown: queue full,"
            " or the Collector away for too long.",
            queries=(
                Query(
                    "round(sum(increase("
                    f"{q.select(SPANS.processed, DROPPED)}[$__range]))"
                    " or vector(0))"
                ),
            ),
            unit="short",
            steps=((None, g.GREEN), (1, g.RED)),
            width=5,
            height=4,
        ),
        Panel(
            kind="stat",
            title="Faults of our own",
            says="Hooks of otel-celery that raised and were kept from your tasks, in the time"
            " shown. Anything but 0 is a bug of ours: please report it with the log line.",
            queries=(
                Query(
                    f"round(sum(increase({q.select(c.FAULTS)}[$__range])) or vector(0))",
                ),
            ),
            unit="short",
            steps=((None, g.GREEN), (1, g.RED)),
            width=5,
            height=4,
        ),
    ),
)

collector = Row(
    "The Collector",
    (
        Panel(
            kind="timeseries",
            title="Received",
            says="Items per second by signal and protocol. It falls when processes die, not only"
            " when there is less to do: metrics come at a steady pace.",
            queries=_rates(ACCEPTED, "transport"),
            unit="ops",
        ),
        Panel(
            kind="timeseries",
            title="Sent",
            says="Items per second by exporter. Spans are fewer than received as far as sampling"
            " drops them.",
            queries=_rates(SENT, "exporter"),
            unit="ops",
        ),
        Panel(
            kind="timeseries",
            title="Refused and failed",
            says="Items per second that the memory limiter refused, and that an exporter gave up."
            " Refused for long: the Collector is too small. Failed: look at the backend.",
            queries=(*_rates(REFUSED, "transport"), *_rates(NOT_SENT, "exporter")),
            unit="ops",
            steps=NONE_AT_ALL,
        ),
        Panel(
            kind="timeseries",
            title="Sending queue in use",
            says="Part of each exporter's queue that waits for its backend. It is on disk and"
            " outlives a restart; at 100 % new data is lost.",
            queries=(
                Query(
                    f"max by (exporter, data_type) ({QUEUE_SIZE}{{{ITSELF}}} / {QUEUE_CAPACITY})",
                    f"{t.show('exporter')} {t.show('data_type')}",
                ),
            ),
            unit="percentunit",
            low=0,
            steps=FULL,
        ),
        Panel(
            kind="timeseries",
            title="Memory of the Collector",
            says="Resident. The memory limiter refuses data near its limit, before the kernel"
            " kills.",
            queries=(Query(f"max by (instance) ({MEMORY}{{{ITSELF}}})", t.show("instance")),),
            unit="bytes",
            low=0,
        ),
        Panel(
            kind="timeseries",
            title="CPU of the Collector",
            says="Cores that it keeps busy.",
            queries=(
                Query(
                    f"max by (instance) (rate({CPU}{{{ITSELF}}}[$__rate_interval]))",
                    t.show("instance"),
                ),
            ),
            low=0,
        ),
    ),
)

sampling = Row(
    "Sampling",
    (
        Panel(
            kind="timeseries",
            title="Traces kept and dropped",
            says="Traces per second by verdict. All errors, kills, retries and slow ones are kept;"
            " of the rest a share.",
            queries=(
                Query(
                    f"sum by (decision) (rate({SAMPLED}[$__rate_interval]))",
                    t.show("decision"),
                ),
            ),
            unit="ops",
            stacked=True,
        ),
        Panel(
            kind="timeseries",
            title="Traces that wait for a verdict",
            says="Held in memory. Near `num_traces` the oldest are forgotten without a verdict,"
            " those with errors too: raise it, or lower `decision_wait`.",
            queries=(Query(f"sum by (instance) ({IN_MEMORY})", t.show("instance")),),
            unit="short",
            low=0,
        ),
        Panel(
            kind="timeseries",
            title="Why traces are kept",
            says="Verdicts per second by policy; a trace may have several reasons. The share of"
            " the rest is `baseline`.",
            queries=(
                Query(
                    f'sum by (policy) (rate({BY_POLICY}{{sampled="true"}}[$__rate_interval]))',
                    t.show("policy"),
                ),
            ),
            unit="ops",
        ),
    ),
)

processes = Row(
    "The processes that send",
    (
        Panel(
            kind="timeseries",
            title="Spans that left each process",
            says="Spans per second whose export has ended, by process; with its error, if it"
            " failed.",
            queries=(
                Query(
                    t.rate(SPANS.exported, f"instance, {q.ERROR}"),
                    f"{t.show('instance')} {t.show(q.ERROR)}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            kind="timeseries",
            title="Span queue in use",
            says="Part of each process's span queue that waits for its next export. At 100 % spans"
            " are dropped: the Collector is slow or away.",
            queries=(
                Query(
                    f"max by ({q.WORKER}, {label('otel.component.name')}) "
                    f"({q.select(SPANS.queue_size)} / {q.select(SPANS.queue_capacity)})",
                    t.show("instance"),
                ),
            ),
            unit="percentunit",
            low=0,
            steps=FULL,
        ),
        Panel(
            kind="timeseries",
            title="Backlog of worker main",
            says="What happened and is not telemetry yet, by worker. Climbs for long: the main"
            " process gets no CPU.",
            queries=(Query(t.each(q.WORKER, q.select(c.BACKLOG), "max"), t.show("instance")),),
            unit="short",
            low=0,
        ),
        Panel(
            kind="timeseries",
            title="What otel-celery gave up",
            says="Per second: records of pool processes that never reached main, span contents cut"
            " at the bound, names counted as `_OTHER`, waits cut to 0 because clocks disagree,"
            " faults. No line: nothing was.",
            queries=tuple(
                Query(t.rate(metric, "instance"), f"{name} {t.show('instance')}")
                for metric, name in (
                    (c.RELAY_DROPPED, "records"),
                    (c.FACTS_DROPPED, "contents"),
                    (c.OVERFLOWS, "names"),
                    (c.SKEW_CORRECTIONS, "clocks"),
                    (c.FAULTS, "faults"),
                )
            ),
            unit="ops",
            width=12,
        ),
        Panel(
            kind="timeseries",
            title="Scrapes of Prometheus",
            says="How long each scrape takes. Near the scrape interval there are holes: fewer"
            " series, or native histograms.",
            queries=(
                Query('max by (job) (scrape_duration_seconds{job=~"otel.*"})', t.show("job")),
            ),
            unit="s",
            low=0,
            width=12,
        ),
    ),
)

PIPELINE = g.Dashboard(
    "pipeline",
    "Celery / Pipeline health",
    "Does telemetry itself arrive, whole and in time? From the SDKs over the Collector to"
    " Prometheus and the traces' backend.",
    (now, collector, sampling, processes),
    t.sources(),
)
