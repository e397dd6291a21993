"""Are the workers healthy, how long do tasks take, which fail, where is it slow, do queues grow?"""

from __future__ import annotations

from collector.catalogue import promql as q
from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Column, Panel, Query, Row
from collector.catalogue.recording import FINAL
from otel_celery import conventions as c

FULL: g.Steps = ((None, g.GREEN), (0.8, g.YELLOW), (0.95, g.RED))
LATE: g.Steps = ((None, g.GREEN), (30, g.YELLOW), (60, g.RED))
AT_LEAST_ONE: g.Steps = ((None, g.RED), (1, g.GREEN))
NOT_ONE: g.Steps = ((None, g.GREEN), (1, g.RED))
QUALITY: g.Steps = ((None, g.RED), (0.95, g.YELLOW), (0.99, g.GREEN))

SUCCEEDED = {**t.OF_JOB, c.TASK_STATE: t.is_(c.SUCCESS)}
FAILED = {**t.OF_JOB, **t.BROKEN}
ACTIVE = {**t.OF_JOB, c.HELD_STATE: t.is_("active")}
READY = {c.QUEUE_STATE: t.is_("ready")}

healthy = Row(
    "Are the workers healthy?",
    (
        Panel(
            kind="stat",
            title="Workers online",
            says="Workers whose loop turned within the last minute. Fewer than you started: the"
            " Workers dashboard shows which one is missing.",
            queries=(Query(f"sum({t.recorded('celery:workers_online', t.OF_JOB)})"),),
            steps=AT_LEAST_ONE,
            width=4,
            height=5,
        ),
        Panel(
            kind="stat",
            title="Oldest heartbeat",
            says="Longest time since a worker's loop last turned. Above a minute that worker is"
            " gone or hangs.",
            queries=(Query(f"max({t.recorded('celery:worker_heartbeat_age:seconds', t.OF_JOB)})"),),
            unit="s",
            steps=LATE,
            width=4,
            height=5,
        ),
        Panel(
            kind="stat",
            title="Workers without broker",
            says="Workers that are not connected to their broker now. If that is all of them, look"
            " at the broker first.",
            queries=(Query(f"sum(1 - {q.select(c.BROKER_CONNECTED, t.OF_JOB)})"),),
            steps=NOT_ONE,
            width=4,
            height=5,
        ),
        Panel(
            kind="stat",
            title="Active tasks",
            says="Tasks that run at this moment, in all workers.",
            queries=(Query(f"sum({q.select(c.TASK_COUNT, ACTIVE)})"),),
            width=4,
            height=5,
        ),
        Panel(
            kind="stat",
            title="Succeeded",
            says="Tasks that returned, in the time shown.",
            queries=(Query(t.count(c.OUTCOMES, "", SUCCEEDED)),),
            unit="short",
            steps=((None, g.GREEN),),
            width=4,
            height=5,
        ),
        Panel(
            kind="stat",
            title="Failed",
            says="Tasks that failed for good, ran out of time or lost their process, in the time"
            " shown. Errors that a task expects (`throws`) are left out.",
            queries=(Query(t.count(c.OUTCOMES, "", FAILED)),),
            unit="short",
            steps=NOT_ONE,
            width=4,
            height=5,
        ),
        Panel(
            kind="bargauge",
            title="Pool in use",
            says="Part of each worker's pool that runs a task. Near 100 % for long: tasks wait for"
            " a free process; add workers or enlarge the pool.",
            queries=(Query(t.recorded("celery:worker_saturation", t.OF_JOB), t.show("instance")),),
            unit="percentunit",
            steps=FULL,
            low=0,
            high=1,
            links=t.WORKER_TRACES,
            width=12,
            height=7,
        ),
        Panel(
            kind="timeseries",
            title="What workers hold",
            says="Active runs now; reserved is due but waits inside a worker for a free process;"
            " scheduled waits for its own time. Much reserved while other workers idle: lower the"
            " prefetch multiplier.",
            queries=(Query(t.each(q.HELD, q.select(c.TASK_COUNT, t.OF_JOB)), t.show(q.HELD)),),
            unit="short",
            stacked=True,
            width=12,
            height=7,
        ),
    ),
)

times = Row(
    "How long do tasks take?",
    (
        Panel(
            kind="timeseries",
            title="Task rate",
            says="Runs that ended per second, by task, whatever became of them.",
            queries=(Query(t.recorded("celery:task_rate"), t.show(q.TASK)),),
            unit="ops",
            links=t.TASK_TRACES,
            width=12,
        ),
        Panel(
            kind="timeseries",
            title="Task duration, p95",
            says="19 of 20 runs are shorter than this. The dots are exemplars: a click on one"
            " opens the trace of that run.",
            queries=(
                Query(t.quantile(0.95, c.PROCESS_DURATION, q.TASK, t.OF_JOB), t.show(q.TASK), True),
            ),
            unit="s",
            links=t.TASK_TRACES,
            width=12,
        ),
    ),
)

failing = Row(
    "Which tasks fail?",
    (
        Panel(
            kind="gauge",
            title="Success rate",
            says="Part of the deliveries that ended for good in the time shown which are successes."
            " Retries are not the end, and exceptions that a task expects no fault.",
            queries=(
                Query(
                    f"{t.increase(c.OUTCOMES, '', SUCCEEDED)}"
                    f" / {t.increase(c.OUTCOMES, '', {**t.OF_JOB, **FINAL})}"
                ),
            ),
            unit="percentunit",
            steps=QUALITY,
            low=0,
            high=1,
            width=5,
        ),
        Panel(
            kind="timeseries",
            title="Failing part, by task",
            says="Part of each task's deliveries that failed, were killed, or were unknown: which"
            " task began to fail, and when. Errors that a task expects are left out. Its links"
            " lead to failed traces and to errors.",
            queries=(Query(t.recorded("celery:failure_ratio"), t.show(q.TASK)),),
            unit="percentunit",
            low=0,
            links=t.FAILED_TRACES,
            width=9,
        ),
        Panel(
            kind="table",
            title="Failures by task and error",
            says="What failed in the time shown, most frequent first. Errors that a task expects"
            " are left out.",
            queries=(
                Query(
                    f"sort_desc({t.count(c.OUTCOMES, f'{q.TASK}, {q.STATE}, {q.ERROR}', FAILED)}"
                    " > 0)"
                ),
            ),
            columns=(
                Column(q.TASK, "Task"),
                Column(q.STATE, "State"),
                Column(q.ERROR, "Error"),
                Column("Value", "Count", "short"),
            ),
            links=(
                *t.traces({c.TASK_NAME: t.at_column("Task"), c.TASK_STATE: t.at_column("State")}),
                t.errors(t.at_column("Task")),
            ),
            width=10,
        ),
    ),
)

bottlenecks = Row(
    "Where is the bottleneck?",
    (
        Panel(
            kind="timeseries",
            title="Wait before the start, p95",
            says="How long tasks were due but had not started, by queue. Longer than the tasks"
            " run: the queue needs more workers, not faster tasks.",
            queries=(
                Query(t.quantile(0.95, c.QUEUE_WAIT, q.QUEUE, t.OF_JOB), t.show(q.QUEUE), True),
            ),
            unit="s",
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Pool time by task",
            says="How many pool processes each task keeps busy on average. The thickest band is"
            " the task that is worth making faster, or moving to a queue of its own.",
            queries=(Query(t.time_spent(c.PROCESS_DURATION, q.TASK, t.OF_JOB), t.show(q.TASK)),),
            unit="short",
            stacked=True,
            links=t.TASK_TRACES,
        ),
        Panel(
            kind="bargauge",
            title="Longest running now",
            says="Age of the oldest run of each task that has not ended. Far above what the task"
            " takes otherwise: it hangs.",
            queries=(
                Query(t.each(q.TASK, q.select(c.OLDEST_ACTIVE, t.OF_JOB), "max"), t.show(q.TASK)),
            ),
            unit="s",
            steps=((None, g.BLUE), (60, g.YELLOW), (600, g.RED)),
            links=t.TASK_TRACES,
        ),
    ),
)

growth = Row(
    "Do queues grow?",
    (
        Panel(
            kind="bargauge",
            title="Queue length",
            says="Messages in each queue that a worker could take now.",
            queries=(Query(t.recorded("celery:queue_depth", READY), t.show(q.QUEUE)),),
            unit="short",
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Queue length over time",
            says="A line that only climbs: more is published than is done. The Queues dashboard"
            " says how fast it grows and how long it takes to drain.",
            queries=(Query(t.recorded("celery:queue_depth", READY), t.show(q.QUEUE)),),
            unit="short",
            links=t.QUEUE_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Age of the oldest message",
            says="How long the message at the head of each queue has been waiting. It climbs by a"
            " second a second where nothing consumes.",
            queries=(Query(t.recorded("celery:queue_oldest_age:seconds"), t.show(q.QUEUE)),),
            unit="s",
            links=t.QUEUE_TRACES,
        ),
    ),
)

OVERVIEW = g.Dashboard(
    "overview",
    "Celery / Overview",
    "Five questions, one row each: are the workers healthy, how long do tasks take, which fail,"
    " where is the bottleneck, do queues grow?",
    (healthy, times, failing, bottlenecks, growth),
    (*t.sources(), t.JOBS),
)
