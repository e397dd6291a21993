"""Does the Collector take, keep and pass on what it is sent?"""

from __future__ import annotations

from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Panel, Query, Row

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
ITSELF = 'job=~"otelcol.*"'  # Jaeger is built from the same parts, and has the same names
SIGNALS = ("spans", "metric_points", "log_records")

NONE_AT_ALL: g.Steps = ((None, g.GREEN), (0.001, g.RED))
FULL: g.Steps = ((None, g.GREEN), (0.5, g.YELLOW), (0.8, g.RED))


def _rates(name: str, by: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"sum by ({by}) (rate({name}_{signal}_total{{{ITSELF}}}[$__rate_interval]))",
            f"{signal.replace('_', ' ')} {t.show(by)}",
        )
        for signal in SIGNALS
    )


def lost(signal: str) -> str:
    """Return items lost since the Collector started: a series begins with its first loss."""
    names = "|".join(f"{name}_{signal}_total" for name in (REFUSED, NOT_SENT, NOT_QUEUED))
    return f'sum(increase({{__name__=~"{names}", {ITSELF}}}[$__range])) or vector(0)'


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
