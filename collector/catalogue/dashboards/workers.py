"""Which worker is gone, busy, or short of memory?"""

from __future__ import annotations

from collector.catalogue import promql as q
from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Column, Panel, Query, Row
from otel_celery import conventions as c

BY_WORKER = t.show("instance")
SUCCEEDED = {**t.OF_WORKER, c.TASK_STATE: t.is_(c.SUCCESS)}
FAILED = {**t.OF_WORKER, **t.BROKEN}
ACTIVE = {**t.OF_WORKER, c.HELD_STATE: t.is_("active")}
FULL: g.Steps = ((None, g.GREEN), (0.8, g.YELLOW), (0.95, g.RED))
LATE: g.Steps = ((None, g.GREEN), (30, g.YELLOW), (60, g.RED))
LIVELY = {"0": "gone", "1": "online"}

now = Row(
    "Who is there?",
    (
        Panel(
            kind="stat",
            title="Active workers",
            says="Workers whose loop turned within the last minute.",
            queries=(Query(f"sum({t.recorded('celery:workers_online', t.OF_JOB)})"),),
            steps=((None, g.RED), (1, g.GREEN)),
            width=4,
            height=8,
        ),
        Panel(
            kind="stat",
            title="Processed in the last hour",
            says="Deliveries that ended in the last hour, whatever became of them.",
            queries=(Query(f"round(sum(increase({q.select(c.OUTCOMES, t.OF_WORKER)}[1h])))"),),
            unit="short",
            width=4,
            height=8,
        ),
        Panel(
            kind="table",
            title="Workers",
            says="One line for each worker of the time shown. Status is online while its loop"
            " turned within the last minute; CPU is in cores, its pool processes included.",
            queries=(
                Query(
                    f"{t.recorded('celery:worker_heartbeat_age:seconds', t.OF_WORKER)} < bool 60"
                ),
                Query(t.each(q.WORKER, q.select(c.TASK_COUNT, ACTIVE))),
                Query(t.count(c.OUTCOMES, q.WORKER, SUCCEEDED)),
                Query(t.count(c.OUTCOMES, q.WORKER, FAILED)),
                Query(t.each(q.WORKER, t.recorded("celery:worker_cpu:cores", t.OF_WORKER), "max")),
                Query(t.each(q.WORKER, q.select(c.WORKER_MEMORY, t.OF_WORKER))),
            ),
            columns=(
                Column("instance", "Worker"),
                Column("job", "Service"),
                Column("Value #A", "Status", "none", ((None, g.RED), (1, g.GREEN)), LIVELY),
                Column("Value #B", "Active", "short"),
                Column("Value #C", "Succeeded", "short"),
                Column("Value #D", "Failed", "short", ((None, g.GREEN), (1, g.RED))),
                Column("Value #E", "CPU", "none"),
                Column("Value #F", "Memory", "bytes"),
            ),
            links=t.traces({c.WORKER_NAME: t.at_column("Worker")}),
            width=16,
            height=8,
        ),
        Panel(
            kind="timeseries",
            title="Heartbeat age",
            says="Seconds since each worker's loop last turned. A line that climbs is a worker that"
            " hangs; one that ends is a worker that is gone. If all climb at once, look at the"
            " broker.",
            queries=(
                Query(t.recorded("celery:worker_heartbeat_age:seconds", t.OF_WORKER), BY_WORKER),
            ),
            unit="s",
            steps=LATE,
            links=t.WORKER_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Connected to the broker",
            says="1 while a worker has its broker, else 0.",
            queries=(
                Query(
                    t.each(q.WORKER, q.select(c.BROKER_CONNECTED, t.OF_WORKER), "min"), BY_WORKER
                ),
            ),
            low=0,
            high=1,
            links=t.WORKER_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Reconnections",
            says="How often workers lost their broker and found it again, per second. A steady"
            " rate: look at the network or the broker's limits.",
            queries=(Query(t.rate(c.BROKER_RECONNECTIONS, q.WORKER, t.OF_WORKER), BY_WORKER),),
            unit="ops",
            links=t.WORKER_TRACES,
        ),
    ),
)

load = Row(
    "How busy?",
    (
        Panel(
            kind="timeseries",
            title="Pool in use",
            says="Part of the pool that runs a task. At 100 % for long, tasks wait for a free"
            " process.",
            queries=(Query(t.recorded("celery:worker_saturation", t.OF_WORKER), BY_WORKER),),
            unit="percentunit",
            steps=FULL,
            low=0,
            links=t.WORKER_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Processing rate",
            says="Deliveries that ended per second, by worker. Uneven among equal workers: one"
            " prefetches what others could do.",
            queries=(Query(t.rate(c.OUTCOMES, q.WORKER, t.OF_WORKER), BY_WORKER),),
            unit="ops",
            links=t.WORKER_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Held deliveries",
            says="By state: active runs, reserved waits for a free process, scheduled waits for"
            " its time. The three together reach the prefetch limit and no further.",
            queries=(
                Query(
                    t.each(f"{q.WORKER}, {q.HELD}", q.select(c.TASK_COUNT, t.OF_WORKER)),
                    f"{BY_WORKER} {t.show(q.HELD)}",
                ),
                Query(
                    t.each(q.WORKER, q.select(c.PREFETCH_LIMIT, t.OF_WORKER)),
                    f"{BY_WORKER} prefetch limit",
                ),
            ),
            unit="short",
            links=t.WORKER_TRACES,
        ),
    ),
)

resources = Row(
    "What do they use?",
    (
        Panel(
            kind="timeseries",
            title="CPU",
            says="Cores that a worker and its pool processes keep busy.",
            queries=(Query(t.recorded("celery:worker_cpu:cores", t.OF_WORKER), BY_WORKER),),
            unit="none",
            low=0,
            links=t.WORKER_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Memory",
            says="Of a worker and its pool processes together. Climbs and never falls: a leak in a"
            " task; `worker_max_memory_per_child` bounds it.",
            queries=(Query(t.each(q.WORKER, q.select(c.WORKER_MEMORY, t.OF_WORKER)), BY_WORKER),),
            unit="bytes",
            low=0,
            links=t.WORKER_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Memory of its limit",
            says="Part of what its control group allows. At 100 % the kernel kills a process of"
            " the pool, or all of the container. No line: there is no limit.",
            queries=(Query(t.recorded("celery:worker_memory_ratio", t.OF_WORKER), BY_WORKER),),
            unit="percentunit",
            steps=FULL,
            low=0,
            links=t.WORKER_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Pool processes that ended",
            says="Per second, by reason: recycled is wanted (max tasks or memory per child),"
            " shutdown too; time_limit, signal and error cost the task that ran.",
            queries=(
                Query(
                    t.rate(c.PROCESS_EXITS, f"{q.WORKER}, {t.EXIT}", t.OF_WORKER),
                    f"{BY_WORKER} {t.show(t.EXIT)}",
                ),
            ),
            unit="ops",
            links=t.WORKER_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Memory of containers (cAdvisor)",
            says="Only where a cAdvisor that knows the names of containers is scraped. Choose the"
            " container by its name.",
            queries=(
                Query(
                    'sum by (name) (container_memory_usage_bytes{name=~".*worker.*"})',
                    t.show("name"),
                ),
            ),
            unit="bytes",
            low=0,
        ),
        Panel(
            kind="timeseries",
            title="CPU of containers (cAdvisor)",
            says="Cores, only where cAdvisor is scraped.",
            queries=(
                Query(
                    "sum by (name) (rate(container_cpu_usage_seconds_total"
                    '{name=~".*worker.*"}[$__rate_interval]))',
                    t.show("name"),
                ),
            ),
            low=0,
        ),
    ),
)

WORKERS = g.Dashboard(
    "workers",
    "Celery / Workers",
    "Which worker is gone, busy, or short of memory. Choose services and workers at the top.",
    (now, load, resources),
    (*t.sources(), t.JOBS, t.WORKERS),
)
