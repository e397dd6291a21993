"""Does beat live, and does it send on time?"""

from __future__ import annotations

from collector.catalogue import promql as q
from collector.catalogue import thresholds as limit
from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Column, Panel, Query, Row
from collector.catalogue.names import series
from otel_celery import conventions as c

BY_ENTRY = t.show(q.ENTRY)
AGE = f"time() - {series(c.BEAT_HEARTBEAT)}"
LATE: g.Steps = ((None, g.GREEN), (300, g.YELLOW), (limit.BEAT_SECONDS, g.RED))
SLOW: g.Steps = ((None, g.GREEN), (5, g.YELLOW), (60, g.RED))

alive = Row(
    "Does it live?",
    (
        Panel(
            kind="stat",
            title="Beats running",
            says="Must be one for each schedule. Two send everything twice; none sends nothing."
            " An idle one turns every five minutes, so one that hangs is counted for six.",
            queries=(Query(f"count({AGE} < {limit.BEAT_SECONDS}) or vector(0)"),),
            steps=((None, g.RED), (1, g.GREEN), (2, g.RED)),
            width=4,
            height=6,
        ),
        Panel(
            kind="stat",
            title="Since its last turn",
            says="Time since beat's loop last turned. It sleeps at most five minutes"
            " (`beat_max_loop_interval`).",
            queries=(Query(f"min({AGE})"),),
            unit="s",
            steps=LATE,
            width=4,
            height=6,
        ),
        Panel(
            kind="timeseries",
            title="Heartbeat age of each beat",
            says="Two lines at once are two beats. A line that climbs is a beat that hangs.",
            queries=(Query(f"max by ({q.WORKER}) ({AGE})", t.show("instance")),),
            unit="s",
            steps=LATE,
            links=t.traces({"service.instance.id": t.at_label("instance")}),
            width=16,
            height=6,
        ),
    ),
)

on_time = Row(
    "Does it send on time?",
    (
        Panel(
            kind="table",
            title="Entries",
            says="One line for each entry of the schedule: how often it was sent in the time"
            " shown, and how late.",
            queries=(
                Query(f"round({t.entries_sent('$__range', 'increase')})"),
                Query(t.mean(c.LATENESS, q.ENTRY)),
                Query(t.quantile_shown(0.95, c.LATENESS, q.ENTRY)),
            ),
            columns=(
                Column(q.ENTRY, "Entry"),
                Column("Value #A", "Sent", "short"),
                Column("Value #B", "Mean lateness", "s", SLOW),
                Column("Value #C", "p95 lateness", "s", SLOW),
            ),
            links=t.traces({c.BEAT_ENTRY: t.at_column("Entry")}),
            width=12,
        ),
        Panel(
            kind="timeseries",
            title="Sent by entry",
            says="Entries sent per second. A line that falls to zero is an entry that is no longer"
            " sent, while beat itself lives.",
            queries=(Query(t.entries_sent("$__rate_interval", "rate"), BY_ENTRY),),
            unit="ops",
            links=t.ENTRY_TRACES,
            width=12,
        ),
        Panel(
            kind="timeseries",
            title="Lateness by entry, p95",
            says="How long after its due time beat sent an entry. Late for all entries: beat is"
            " starved of CPU, or publishing is slow.",
            queries=(Query(t.quantile(0.95, c.LATENESS, q.ENTRY), BY_ENTRY),),
            unit="s",
            steps=SLOW,
            links=t.ENTRY_TRACES,
            width=12,
        ),
        Panel(
            kind="heatmap",
            title="Lateness",
            says="How many entries were how late: darker is more. Needs classic buckets.",
            queries=(
                Query(
                    f"sum by (le) (increase({q.select(c.LATENESS, None, '_bucket')}"
                    "[$__rate_interval]))",
                    t.show("le"),
                ),
            ),
            unit="s",
            width=12,
        ),
    ),
)

BEAT = g.Dashboard(
    "beat",
    "Celery / Beat",
    "Does beat live, and does it send on time?",
    (alive, on_time),
    t.sources(c.BEAT_HEARTBEAT),
)
