"""Does telemetry itself arrive, whole and in time?"""

from __future__ import annotations

from collector.catalogue import promql as q
from collector.catalogue.dashboards import collector
from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Panel, Query, Row
from collector.catalogue.names import label
from otel_celery import conventions as c
from otel_celery.lane_metrics import SPAN_ROWS as SPANS

DROPPED = {c.ERROR_TYPE: '!=""'}
UP: g.Steps = ((None, g.RED), (1, g.GREEN))

now = Row(
    "Does it arrive?",
    (
        Panel(
            kind="stat",
            title="Collector up",
            says="Whether Prometheus reaches the Collector. 0: metrics have a hole from then on;"
            " counters lose nothing, since processes repeat their sums.",
            queries=(Query(f"min(up{{{collector.ITSELF}}})"),),
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
            queries=(Query(f"round({collector.lost('spans')})"),),
            unit="short",
            steps=((None, g.GREEN), (1, g.RED)),
            width=5,
            height=4,
        ),
        Panel(
            kind="stat",
            title="Metric points refused or not sent",
            says="In the time shown. A refused point is made good by the next export.",
            queries=(Query(f"round({collector.lost('metric_points')})"),),
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
            steps=collector.FULL,
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
    (now, collector.collector, collector.sampling, processes),
    t.sources(),
)
