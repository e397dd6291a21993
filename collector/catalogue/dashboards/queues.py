"""Does work arrive faster than it is done, and what waits?"""

from __future__ import annotations

from collector.catalogue import promql as q
from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Column, Panel, Query, Row
from otel_celery import conventions as c

READY = {**t.OF_QUEUE, c.QUEUE_STATE: t.is_("ready")}
UNACKED = {**t.OF_QUEUE, c.QUEUE_STATE: t.is_("unacked")}
SENT = {**t.OF_QUEUE, c.ERROR_TYPE: t.is_("")}
NOT_SENT = {**t.OF_QUEUE, c.ERROR_TYPE: '!=""'}
AGAIN = {**t.OF_QUEUE, c.TASK_REDELIVERED: t.is_("true")}
BY_QUEUE = t.show(q.QUEUE)
AGES: g.Steps = ((None, g.GREEN), (60, g.YELLOW), (600, g.RED))
SOMEBODY: g.Steps = ((None, g.RED), (1, g.GREEN))


def _max(metric: c.Metric, tests: t.Tests) -> str:
    """Return readings of queues: several may read one queue, so they are never added."""
    return t.each(q.QUEUE, q.select(metric, tests), "max")


now = Row(
    "What waits?",
    (
        Panel(
            kind="table",
            title="Queues",
            says="One line for each queue, now. Workers counts those that consume it; none means"
            " that its messages wait for ever. Redis does not know the unacknowledged ones of a"
            " single queue.",
            queries=(
                Query(t.each(q.QUEUE, t.recorded("celery:queue_depth", READY), "max")),
                Query(t.each(q.QUEUE, t.recorded("celery:queue_depth", UNACKED), "max")),
                Query(
                    t.each(
                        q.QUEUE, t.recorded("celery:queue_oldest_age:seconds", t.OF_QUEUE), "max"
                    )
                ),
                Query(t.each(q.QUEUE, q.select(c.QUEUE_CONSUMING, t.OF_QUEUE))),
                Query(t.each(q.QUEUE, t.recorded("celery:queue_drain:seconds", t.OF_QUEUE), "max")),
            ),
            columns=(
                Column(q.QUEUE, "Queue"),
                Column("Value #A", "Ready", "short"),
                Column("Value #B", "Unacknowledged", "short"),
                Column("Value #C", "Oldest", "s", AGES),
                Column("Value #D", "Workers", "short", SOMEBODY),
                Column("Value #E", "Time to drain", "s"),
            ),
            links=t.traces({c.QUEUE: t.at_column("Queue")}),
            width=16,
            height=7,
        ),
        Panel(
            kind="piechart",
            title="Outcomes by state",
            says="What became of the deliveries from these queues in the time shown.",
            queries=(Query(t.count(c.OUTCOMES, q.STATE, t.OF_QUEUE), t.show(q.STATE)),),
            unit="short",
            height=7,
        ),
        Panel(
            kind="timeseries",
            title="Depth",
            says="Messages by queue and state: ready can be taken, unacked are with workers,"
            " delayed wait at the broker for their time. Each is the largest of what the readers"
            " saw, never a sum. Redis knows the unacked ones of all queues together only.",
            queries=(
                Query(
                    t.recorded("celery:queue_depth", t.OF_QUEUE),
                    f"{BY_QUEUE} {t.show(q.DEPTH)}",
                ),
                Query(t.recorded("celery:queue_depth", {c.QUEUE: t.is_("")}), t.show(q.DEPTH)),
            ),
            unit="short",
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Growth",
            says="Messages per second by which a queue grows; below zero it drains. Above zero for"
            " long: more comes than is done.",
            queries=(Query(f"deriv({t.recorded('celery:queue_depth', READY)}[5m])", BY_QUEUE),),
            unit="cps",
            steps=((None, g.GREEN), (0, g.YELLOW)),
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Time to drain",
            says="How long the workers need for what waits, at their present rate. No line: nothing"
            " is being done, or nothing waits.",
            queries=(Query(t.recorded("celery:queue_drain:seconds", t.OF_QUEUE), BY_QUEUE),),
            unit="s",
            links=t.QUEUE_TRACES,
        ),
    ),
)

waiting = Row(
    "How long does it wait?",
    (
        Panel(
            kind="timeseries",
            title="Wait before the start, p95",
            says="How long deliveries were due but had not started: in the queue and in the"
            " worker's prefetch. Exemplars lead to the traces.",
            queries=(Query(t.quantile(0.95, c.QUEUE_WAIT, q.QUEUE, t.OF_QUEUE), BY_QUEUE, True),),
            unit="s",
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Oldest message",
            says="Age of the message at the head of each queue.",
            queries=(Query(t.recorded("celery:queue_oldest_age:seconds", t.OF_QUEUE), BY_QUEUE),),
            unit="s",
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Oldest unacknowledged delivery",
            says="Near the broker's visibility timeout (Redis: an hour unless set) the message is"
            " delivered a second time although the first run goes on.",
            queries=(
                Query(
                    t.each(t.SYSTEM, q.select(c.OLDEST_UNACKED), "max"),
                    t.show(t.SYSTEM),
                ),
            ),
            unit="s",
            steps=((None, g.GREEN), (2700, g.YELLOW), (3600, g.RED)),
        ),
    ),
)

flow = Row(
    "What comes and goes?",
    (
        Panel(
            kind="timeseries",
            title="Published and received",
            says="Messages per second that producers sent, and deliveries per second that workers"
            " received. Published above received: the queue grows.",
            queries=(
                Query(t.rate(c.SENT_MESSAGES, q.QUEUE, SENT), f"{BY_QUEUE} published"),
                Query(t.rate(c.CONSUMED_MESSAGES, q.QUEUE, t.OF_QUEUE), f"{BY_QUEUE} received"),
            ),
            unit="ops",
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Redelivered and not sent",
            says="Deliveries per second that came a second time, and messages that could not be"
            " published. Both are zero in good times: no line.",
            queries=(
                Query(t.rate(c.CONSUMED_MESSAGES, q.QUEUE, AGAIN), f"{BY_QUEUE} redelivered"),
                Query(
                    t.rate(c.SENT_MESSAGES, f"{q.QUEUE}, {q.ERROR}", NOT_SENT),
                    f"{BY_QUEUE} not sent: {t.show(q.ERROR)}",
                ),
            ),
            unit="ops",
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Time to publish, p95",
            says="What a call such as `delay()` costs its caller. Climbs with a slow broker.",
            queries=(Query(t.quantile(0.95, c.CLIENT_DURATION, q.QUEUE, t.OF_QUEUE), BY_QUEUE),),
            unit="s",
            links=t.QUEUE_TRACES,
        ),
    ),
)

reading = Row(
    "Is the broker well?",
    (
        Panel(
            kind="timeseries",
            title="Workers that consume",
            says="Workers that take from each queue. At zero nobody does.",
            queries=(Query(t.each(q.QUEUE, q.select(c.QUEUE_CONSUMING, t.OF_QUEUE)), BY_QUEUE),),
            unit="short",
            low=0,
        ),
        Panel(
            kind="timeseries",
            title="Consumers that the broker knows",
            says="For brokers that count their consumers, such as RabbitMQ. Redis knows none: read"
            " the panel beside this one.",
            queries=(Query(_max(c.QUEUE_CONSUMERS, t.OF_QUEUE), BY_QUEUE),),
            unit="short",
            low=0,
        ),
        Panel(
            kind="timeseries",
            title="Time to read the broker, p95",
            says="How long reading all queues took; by error, if it failed. A failed reading gives"
            " no depth: the lines above then end instead of lying.",
            queries=(
                Query(
                    t.quantile(0.95, c.PROBE_DURATION, f"job, {q.ERROR}"),
                    f"{t.show('job')} {t.show(q.ERROR)}",
                ),
            ),
            unit="s",
        ),
    ),
)

QUEUES = g.Dashboard(
    "queues",
    "Celery / Queues",
    "Does work arrive faster than it is done, and what waits? Queues of all services that share"
    " this Prometheus.",
    (now, waiting, flow, reading),
    (*t.sources(), t.QUEUES),
)
