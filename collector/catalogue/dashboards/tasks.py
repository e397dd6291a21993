"""How often, how long and how well does each task run?"""

from __future__ import annotations

from collector.catalogue import promql as q
from collector.catalogue.dashboards import model as g
from collector.catalogue.dashboards import terms as t
from collector.catalogue.dashboards.model import Column, Panel, Query, Row
from otel_celery import conventions as c

CHOSEN = PUBLISHED = {c.TASK_NAME: t.OF_TASK[c.TASK_NAME]}
FAILED = {**t.OF_TASK, **t.BROKEN}
WITH_ERROR = {**FAILED, c.ERROR_TYPE: '!=""'}
RETRIED = {**t.OF_TASK, c.TASK_STATE: t.is_(c.RETRY)}
KILLED = {**t.OF_TASK, c.TASK_STATE: f'=~"{c.TIMEOUT}|{c.LOST}|{c.REQUEUED}"'}
EXPECTED = {**t.OF_TASK, c.TASK_EXPECTED: t.is_("true")}
COUNTED: g.Steps = ((None, g.GREEN), (1, g.RED))
SLOWEST = f"topk(10, {t.mean(c.PROCESS_DURATION, q.TASK, t.OF_TASK)})"
BY_TASK = t.show(q.TASK)


def _quantile(part: float, by: str) -> str:
    return t.quantile(part, c.PROCESS_DURATION, by, t.OF_TASK)


def _ended(state: str) -> str:
    return t.count(c.OUTCOMES, q.TASK, {**t.OF_TASK, c.TASK_STATE: t.is_(state)})


table = Row(
    "All tasks",
    (
        Panel(
            kind="table",
            title="Tasks",
            says="One line for each task, for the time shown: how often it ended and how, and how"
            " long it ran. Failed counts failures, time-outs and lost processes, without the"
            " errors that the task expects.",
            queries=(
                Query(t.count(c.OUTCOMES, q.TASK, t.OF_TASK)),
                Query(_ended(c.SUCCESS)),
                Query(t.count(c.OUTCOMES, q.TASK, FAILED)),
                Query(_ended(c.RETRY)),
                Query(t.mean(c.PROCESS_DURATION, q.TASK, t.OF_TASK)),
                Query(t.quantile_shown(0.95, c.PROCESS_DURATION, q.TASK, t.OF_TASK)),
            ),
            columns=(
                Column(q.TASK, "Task"),
                Column("Value #A", "Ended", "short"),
                Column("Value #B", "Succeeded", "short"),
                Column("Value #C", "Failed", "short", COUNTED),
                Column("Value #D", "Retried", "short"),
                Column("Value #E", "Mean", "s"),
                Column("Value #F", "p95", "s"),
            ),
            links=(
                *t.traces({c.TASK_NAME: t.at_column("Task")}),
                t.errors(t.at_column("Task")),
            ),
            width=16,
            height=10,
        ),
        Panel(
            kind="piechart",
            title="What became of them",
            says="All outcomes in the time shown, by state. The page about metrics says what each"
            " state means.",
            queries=(Query(t.count(c.OUTCOMES, q.STATE, t.OF_TASK), t.show(q.STATE)),),
            unit="short",
            height=10,
        ),
    ),
)

throughput = Row(
    "How many?",
    (
        Panel(
            kind="timeseries",
            title="Rate by task",
            says="Runs that ended per second, whatever became of them; over five minutes.",
            queries=(Query(t.recorded("celery:task_rate", CHOSEN), BY_TASK),),
            unit="ops",
            links=t.TASK_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Rate by state",
            says="The same, by what became of them. A colour that appears is a kind of ending that"
            " is new.",
            queries=(Query(t.rate(c.OUTCOMES, q.STATE, t.OF_TASK), t.show(q.STATE)),),
            unit="ops",
            stacked=True,
            links=t.traces({c.TASK_STATE: t.at_label(q.STATE)}),
        ),
        Panel(
            kind="timeseries",
            title="Publish rate by task",
            says="Messages that producers tried to send per second, retries and steps of canvases"
            " included. Far above the rate of endings: the queue grows.",
            queries=(Query(t.rate(c.SENT_MESSAGES, q.TASK, PUBLISHED), BY_TASK),),
            unit="ops",
            links=t.TASK_TRACES,
        ),
    ),
)

durations = Row(
    "How long?",
    (
        Panel(
            kind="timeseries",
            title="Duration p50, p95, p99",
            says="Of all tasks chosen above together: choose one for its own. A p99 far above the"
            " p95 is a few runs that take much longer; their exemplars lead to the traces.",
            queries=tuple(
                Query(_quantile(part, "job"), f"p{part * 100:.0f} {t.show('job')}", True)
                for part in (0.5, 0.95, 0.99)
            ),
            unit="s",
            links=t.traces({"service.name": t.at_label("job")}),
        ),
        Panel(
            kind="timeseries",
            title="Duration p95 by task",
            says="19 of 20 runs of a task are shorter than this.",
            queries=(Query(_quantile(0.95, q.TASK), BY_TASK, True),),
            unit="s",
            links=t.TASK_TRACES,
        ),
        Panel(
            kind="heatmap",
            title="Durations",
            says="How many runs took how long: darker is more. Two bands are two kinds of work in"
            " one task. Needs classic buckets; the dots are exemplars.",
            queries=(
                Query(
                    t.each(
                        "le",
                        f"increase({q.select(c.PROCESS_DURATION, t.OF_TASK, '_bucket')}"
                        "[$__rate_interval])",
                    ),
                    t.show("le"),
                    True,
                ),
            ),
            unit="s",
        ),
        Panel(
            kind="table",
            title="Ten slowest tasks",
            says="Tasks with the longest mean in the time shown.",
            queries=(
                Query(SLOWEST),
                Query(f"{t.count(c.OUTCOMES, q.TASK, t.OF_TASK)} and {SLOWEST}"),
            ),
            columns=(
                Column(q.TASK, "Task"),
                Column("Value #A", "Mean", "s"),
                Column("Value #B", "Ended", "short"),
            ),
            links=t.traces({c.TASK_NAME: t.at_column("Task")}),
        ),
        Panel(
            kind="timeseries",
            title="Wait before the start by task, p95",
            says="How long a task was due but had not started. Delay that was asked for (ETA,"
            " countdown, retry) is not waiting; deliveries that came again are not counted.",
            queries=(Query(t.quantile(0.95, c.QUEUE_WAIT, q.TASK, t.OF_TASK), BY_TASK, True),),
            unit="s",
            links=t.TASK_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Oldest run that has not ended",
            says="Climbs by a second a second while a run goes on. A line that climbs past"
            " everything the task ever took: it hangs.",
            queries=(Query(t.each(q.TASK, q.select(c.OLDEST_ACTIVE, t.OF_TASK), "max"), BY_TASK),),
            unit="s",
            links=t.TASK_TRACES,
        ),
    ),
)

quality = Row(
    "How well?",
    (
        Panel(
            kind="timeseries",
            title="Success rate by task",
            says="Part of the deliveries that ended for good which are successes. Retries"
            " are not the end, and exceptions that a task expects no fault.",
            queries=(Query(t.recorded("celery:success_ratio", CHOSEN), BY_TASK),),
            unit="percentunit",
            low=0,
            high=1,
            links=t.FAILED_TRACES,
        ),
        Panel(
            kind="timeseries",
            title="Failures by error",
            says="Failures, time-outs and lost processes per second, by the class of the"
            " exception. One new class after a release is the release's.",
            queries=(
                Query(
                    t.rate(c.OUTCOMES, f"{q.TASK}, {q.ERROR}", WITH_ERROR),
                    f"{t.show(q.ERROR)} in {BY_TASK}",
                ),
            ),
            unit="ops",
            links=(
                *t.traces({c.TASK_NAME: t.at_label(q.TASK), c.ERROR_TYPE: t.at_label(q.ERROR)}),
                t.errors(t.at_label(q.TASK)),
            ),
        ),
        Panel(
            kind="timeseries",
            title="Retry rate by task",
            says="Retries per second. A retry is no failure yet; a rate that climbs says that what"
            " the task depends on is failing.",
            queries=(Query(t.rate(c.OUTCOMES, q.TASK, RETRIED), BY_TASK),),
            unit="ops",
            links=t.TASK_TRACES,
        ),
        Panel(
            kind="bargauge",
            title="Killed, timed out, put back",
            says="Deliveries in the time shown that the hard time limit ended, whose process died"
            " (out of memory, a signal), or whose message went back to the queue.",
            queries=(
                Query(
                    t.count(c.OUTCOMES, f"{q.TASK}, {q.STATE}", KILLED),
                    f"{BY_TASK} {t.show(q.STATE)}",
                ),
            ),
            unit="short",
            steps=((None, g.YELLOW), (1, g.RED)),
            links=(
                *t.traces({c.TASK_NAME: t.at_label(q.TASK), c.TASK_STATE: t.at_label(q.STATE)}),
                t.errors(t.at_label(q.TASK)),
            ),
        ),
        Panel(
            kind="timeseries",
            title="Expected failures",
            says="Failures per second with an error that the task lists in `throws`: part of the"
            " business, and left out of alerts.",
            queries=(
                Query(
                    t.rate(c.OUTCOMES, f"{q.TASK}, {q.ERROR}", EXPECTED),
                    f"{t.show(q.ERROR)} in {BY_TASK}",
                ),
            ),
            unit="ops",
            links=t.TASK_TRACES,
        ),
        Panel(
            kind="table",
            title="Traces of failed tasks",
            says="The latest traces with a failure, a time-out or a lost process in the service"
            " chosen at the top; a click on an id opens one. Asked of Jaeger, so it needs that"
            " data source.",
            searches=tuple(f"{c.TASK_STATE}={state}" for state in (c.FAILURE, c.TIMEOUT, c.LOST)),
        ),
    ),
)

TASKS = g.Dashboard(
    "tasks",
    "Celery / Tasks",
    "How often, how long and how well each task runs. Choose tasks at the top; without a choice"
    " all are shown.",
    (table, throughput, durations, quality),
    (*t.sources(), t.JOBS, t.TASKS),
)
