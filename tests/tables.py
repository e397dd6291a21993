"""Are the tables of the documentation what the code says?

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`. Run as a program, this writes
them anew; `tests/unit/test_docs.py` fails where that would change a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks import fleet_page
from benchmarks import page as performance
from otel_celery import conventions as c
from otel_celery.lane_metrics import LANE_METRICS
from otel_celery.outcome import HowEnded, judge
from otel_celery.settings import rows as settings
from otel_celery.view.intake import MAX_BODY
from otel_celery.view.store import Limits
from tests import covered
from tests.faults import results
from tests.suites import results as suites
from tests.worker.expected import ALL, CASES

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MARKED = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

KINDS = {
    "counter": "counter",
    "histogram": "histogram",
    "observable_gauge": "gauge",
    "observable_counter": "counter",
    "observable_updowncounter": "up-down counter",
}
STATES = {
    c.SUCCESS: "the task returned",
    c.FAILURE: "it raised, or a soft time limit that it did not catch ended it; final",
    c.RETRY: "it will be tried again, as a new message",
    c.IGNORED: "it raised `Ignore`",
    c.REJECTED: "it raised `Reject`",
    c.TIMEOUT: "the hard time limit ended its process",
    c.LOST: "its process died: SIGKILL, out of memory, segfault, `os._exit`",
    c.REQUEUED: "the delivery ended and its message went back to the queue",
    c.REVOKED: "revoked, before it ran or while it ran (then with error type `Terminated`)",
    c.EXPIRED: "its `expires` had passed when a worker took it",
    c.RETURNED: "given back before it began: worker stopped, connection lost; no span",
    c.DELEGATED: "handed to a strategy of the task's own, such as celery-batches",
    c.UNKNOWN: "no task of that name is registered in the worker",
    c.INVALID: "the message could not be read",
}
ATTRIBUTES = {
    c.MESSAGING_SYSTEM: "`redis`, `rabbitmq`, `aws_sqs`, ... or kombu's name of the transport",
    c.OPERATION_NAME: "`publish` or `process`",
    c.OPERATION_TYPE: "`send` or `process`",
    c.QUEUE: "the queue, in the same words on both sides",
    c.MESSAGE_ID: "the task id",
    c.SERVER_ADDRESS: "the broker's host; Redis and RabbitMQ only",
    c.SERVER_PORT: "the broker's port; Redis and RabbitMQ only",
    c.TASK_NAME: "the task's name",
    c.TASK_RETRIES: "which retry this is; absent on the first attempt",
    c.TASK_ETA: "not before this time",
    c.TASK_EXPIRES: "not after this time",
    c.TASK_PRIORITY: "the message's priority",
    c.TASK_ROOT_ID: "id of the first task of the workflow",
    c.TASK_PARENT_ID: "id of the task that sent this one",
    c.TASK_GROUP_ID: "id of the group",
    c.ERROR_TYPE: "class of the exception; of its cause on a retry",
    c.TASK_STATE: "what became of the delivery, see the states",
    c.TASK_EXPECTED: "true for an exception that the task lists in `throws`",
    c.TASK_QUEUE_WAIT: "seconds that the task was due and had not started",
    c.TASK_PREFETCH_WAIT: "the part of that wait that it lay in the worker's memory",
    c.TASK_REDELIVERED: "true when the broker delivered the message once more",
    c.TASK_TIME_LIMIT: "the hard limit, seconds",
    c.TASK_SOFT_TIME_LIMIT: "the soft limit, seconds",
    c.WORKER_NAME: "the worker's nodename",
    c.POOL_TYPE: "`prefork`, `solo`, `threads`, `gevent`, `eventlet`",
    c.PROCESS_PID: "the process that ran it",
    c.CODE_FUNCTION: "module and name of the function",
    c.TASK_ARGS: "positional arguments; only with `OTEL_CELERY_CAPTURE=args`",
    c.TASK_KWARGS: "keyword arguments; only with `OTEL_CELERY_CAPTURE=args`",
    c.TASK_RESULT: "what it returned; only with `OTEL_CELERY_CAPTURE=result`",
    c.TASK_EAGER: "true",
    c.BEAT_ENTRY: "name of the schedule's entry",
    c.BEAT_LATENESS: "seconds between due and sent",
}
HEADERS = {
    c.TRACEPARENT: "the publish span's context, W3C",
    c.TRACESTATE: "vendors' part of it, if there is one",
    c.BAGGAGE: "only if `OTEL_PROPAGATORS` names `baggage`",
    c.SENT: "when it was published, Unix seconds as text",
    c.ORIGIN: "the parent of the first publish, so that retries hang beside it",
}


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def codes(names: Iterable[object]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def kind(metric: c.Metric) -> str:
    unit = "" if metric.unit == "1" else f", {metric.unit.strip('{}')}"
    return f"{KINDS[metric.kind]}{unit}"


def metrics() -> str:
    """Return what is measured."""
    rows = [(f"`{m.name}`", kind(m), m.description) for m in c.METRICS]
    return table(("metric", "kind, unit", "what"), rows)


def metrics_in_full(chosen: Sequence[c.Metric] = c.METRICS) -> str:
    """Return what is measured, with the attributes that the points may have."""
    rows = [(f"`{m.name}`", kind(m), m.description, codes(m.keys)) for m in chosen]
    return table(("metric", "kind, unit", "what", "attributes"), rows)


def lane_metrics() -> str:
    return metrics_in_full(LANE_METRICS)


def buckets() -> str:
    """Return the bounds of each histogram."""
    bounds: dict[tuple[float, ...], list[str]] = {}
    for metric in c.METRICS:
        if metric.buckets:
            bounds.setdefault(metric.buckets, []).append(metric.name)
    rows = [(codes(names), ", ".join(f"{b:g}" for b in edge)) for edge, names in bounds.items()]
    return table(("histograms", "upper bounds, seconds"), rows)


def states() -> str:
    """Return what can become of a delivery."""
    error = {judge(how).state: judge(how).error for how in HowEnded}
    rows = [(f"`{s}`", STATES[s], "ERROR" if error[s] else "") for s in c.STATES]
    return table(("state", "when", "span status"), rows)


def attributes() -> str:
    """Return which span says what."""
    spans = list(c.SPAN_ATTRIBUTES)
    names = dict.fromkeys(name for span in spans for name in c.SPAN_ATTRIBUTES[span])
    marks = {n: ["x" if n in c.SPAN_ATTRIBUTES[span] else "" for span in spans] for n in names}
    rows = [(f"`{name}`", *marks[name], ATTRIBUTES[name]) for name in names]
    return table(("attribute", *spans, "what"), rows)


def headers() -> str:
    return table(("header", "what"), [(f"`{name}`", what) for name, what in HEADERS.items()])


def variables() -> str:
    """Return what a deployment may choose."""
    rows = []
    for item in settings():
        default = ",".join(item.default) if isinstance(item.default, tuple) else item.default
        shown = f"{default:g}" if isinstance(default, float) else default
        value = f"`{shown}`" if shown else ""
        rows.append((f"`{item.metadata['var']}`", f"`{item.name}`", value, item.metadata["says"]))
    return table(("variable", "argument", "default", "meaning"), rows)


def pools() -> str:
    """Return which cases are tried with a real worker of which pool."""
    rows = [
        (
            case.replace("_", " "),
            ", then ".join(dict.fromkeys(f"`{word.state}`" for word in told)),
            *("x" if pool in where else "" for pool in ALL),
        )
        for case, (told, where) in CASES.items()
    ]
    return table(("case", "states", *ALL), rows)


def in_short() -> str:
    """Return how many cases are tried in each pool."""
    return table(ALL, [[sum(pool in where for _, where in CASES.values()) for pool in ALL]])


MIB, KIB = 1024 * 1024, 1024


def view_limits() -> str:
    most = Limits()
    rows = [
        ("traces", f"{most.traces:,}; the oldest leave first"),
        ("spans", f"{most.spans:,}, and {most.trace_spans:,} in one trace"),
        (
            "bytes of spans, as they were sent",
            f"{most.span_bytes // MIB} MiB, and a quarter of that in one trace",
        ),
        ("series", f"{most.series:,}; those that were not told for longest leave first"),
        ("bytes of one point", f"{most.point_bytes // KIB} KiB"),
        ("bytes of one request", f"{MAX_BODY // MIB} MiB, also when unpacked"),
    ]
    return table(["what", "at most"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "view-limits": view_limits,
    "metrics": metrics,
    "metrics-in-full": metrics_in_full,
    "lane-metrics": lane_metrics,
    "buckets": buckets,
    "states": states,
    "attributes": attributes,
    "headers": headers,
    "settings": variables,
    "pools": pools,
    "pools-in-short": in_short,
    "faults": results.page,
    "faults-versions": results.versions,
    "celery-suites": suites.page,
    "celery-suites-versions": suites.versions,
    **covered.TABLES,
    **performance.TABLES,
    **fleet_page.TABLES,
}


def renewed(page: str) -> str:
    """Return a page with each of its tables made anew."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)


if __name__ == "__main__":
    for path in PAGES:
        text = path.read_text()
        if (new := renewed(text)) != text:
            path.write_text(new)
            print(f"renewed {path.relative_to(ROOT)}")
