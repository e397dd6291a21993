"""Is every message accounted for?"""

from __future__ import annotations

from collector.catalogue import promql as q
from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Column, Panel, Query, Row
from otel_celery import conventions as c

BY_WORKER, BY_QUEUE = t.show("instance"), t.show(q.QUEUE)
READY = {**t.OF_QUEUE, c.QUEUE_STATE: t.is_("ready")}
SENT = {**t.OF_QUEUE, c.ERROR_TYPE: t.is_("")}
FIRST = {**t.OF_QUEUE, c.TASK_REDELIVERED: t.is_("")}
AGAIN = {**t.OF_QUEUE, c.TASK_REDELIVERED: t.is_("true")}
OPEN: g.Steps = ((None, g.RED), (-0.5, g.GREEN), (0.5, g.RED))

workers = Row(
    "Workers: received = ended + held",
    (
        Panel(
            kind="stat",
            title="Missing in workers",
            says="Deliveries that workers received, less those that ended and those that they"
            " hold: 0 when the books close. The three are read within one collection of a worker,"
            " so that even in motion they agree.",
            queries=(Query(f"sum({t.recorded('celery:ledger_worker:difference', t.OF_WORKER)})"),),
            unit="short",
            steps=OPEN,
            width=5,
        ),
        Panel(
            kind="table",
            title="Books of the workers",
            says="Since each worker started. Received is what the broker delivered; ended is every"
            " outcome; held is running, due, or waiting for its time.",
            queries=(
                Query(t.each(q.WORKER, q.select(c.CONSUMED_MESSAGES, t.OF_WORKER))),
                Query(t.each(q.WORKER, q.select(c.OUTCOMES, t.OF_WORKER))),
                Query(t.each(q.WORKER, q.select(c.TASK_COUNT, t.OF_WORKER))),
                Query(
                    t.each(
                        q.WORKER, t.recorded("celery:ledger_worker:difference", t.OF_WORKER), "max"
                    )
                ),
            ),
            columns=(
                Column("instance", "Worker"),
                Column("job", "Service"),
                Column("Value #A", "Received", "short"),
                Column("Value #B", "Ended", "short"),
                Column("Value #C", "Held", "short"),
                Column("Value #D", "Difference", "short", OPEN),
            ),
            links=t.traces({c.WORKER_NAME: t.at_column("Worker")}),
            width=10,
        ),
        Panel(
            kind="timeseries",
            title="Difference by worker",
            says="A line that leaves zero and stays away: deliveries whose end nobody counted.",
            queries=(Query(t.recorded("celery:ledger_worker:difference", t.OF_WORKER), BY_WORKER),),
            unit="short",
            links=t.WORKER_TRACES,
            width=9,
        ),
    ),
)

queues = Row(
    "Queues: sent = received + ready",
    (
        Panel(
            kind="table",
            title="Books of the queues",
            says="Sent without error, first deliveries, and what waits, of the processes that are"
            " there now: a counter goes when its process ends. The difference is that of the last"
            " hour, ended processes included.",
            queries=(
                Query(t.each(q.QUEUE, q.select(c.SENT_MESSAGES, SENT))),
                Query(t.each(q.QUEUE, q.select(c.CONSUMED_MESSAGES, FIRST))),
                Query(t.each(q.QUEUE, t.recorded("celery:queue_depth", READY), "max")),
                Query(
                    t.each(q.QUEUE, t.recorded("celery:ledger_queue:difference", t.OF_QUEUE), "max")
                ),
            ),
            columns=(
                Column(q.QUEUE, "Queue"),
                Column("Value #A", "Sent", "short"),
                Column("Value #B", "Received", "short"),
                Column("Value #C", "Ready", "short"),
                Column("Value #D", "Difference", "short"),
            ),
            links=t.traces({c.QUEUE: t.at_column("Queue")}),
            width=12,
        ),
        Panel(
            kind="timeseries",
            title="Difference by queue",
            says="Sent, less received and ready. It trembles around zero, since the three are read"
            " at different moments. Above zero for long: lost, or expired at the broker. Below:"
            " messages from producers that do not count, or that were there before.",
            queries=(Query(t.recorded("celery:ledger_queue:difference", t.OF_QUEUE), BY_QUEUE),),
            unit="short",
            links=t.QUEUE_TRACES,
            width=12,
        ),
        Panel(
            kind="timeseries",
            title="Redelivered",
            says="Deliveries that came again, in the time of one step: after a lost process, a cold"
            " stop or a visibility timeout. They are left out of the sums above.",
            queries=(
                Query(
                    f"sum by ({q.QUEUE}) (increase({q.select(c.CONSUMED_MESSAGES, AGAIN)}"
                    "[$__rate_interval]))",
                    BY_QUEUE,
                ),
            ),
            unit="short",
            links=t.QUEUE_TRACES,
            width=12,
        ),
        Panel(
            kind="timeseries",
            title="Returned and put back",
            says="Deliveries given back before they began, and those whose message went back to"
            " its queue. They come again, and are counted again as received.",
            queries=(
                Query(
                    t.rate(
                        c.OUTCOMES,
                        f"{q.QUEUE}, {q.STATE}",
                        {**t.OF_QUEUE, c.TASK_STATE: f'=~"{c.RETURNED}|{c.REQUEUED}"'},
                    ),
                    f"{BY_QUEUE} {t.show(q.STATE)}",
                ),
            ),
            unit="ops",
            links=t.QUEUE_TRACES,
            width=12,
        ),
    ),
)

LEDGER = g.Dashboard(
    "ledger",
    "Celery / Ledger",
    "Is every message accounted for? What was sent must be received or wait; what was received"
    " must have ended or be held.",
    (workers, queues),
    (*t.sources(), t.JOBS, t.WORKERS, t.QUEUES),
)
