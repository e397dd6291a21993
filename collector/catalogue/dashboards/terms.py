"""Which words do the dashboards share: queries, variables, links?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import quote

from collector.catalogue.dashboards.grafana import PROMETHEUS
from collector.catalogue.dashboards.model import Json, Link
from collector.catalogue.names import label, series
from collector.catalogue.promql import ENTRY, QUEUE, TASK, select
from collector.catalogue.recording import RECORDINGS
from otel_celery import conventions as c
from otel_celery.conventions import Metric

SYSTEM, EXIT = label(c.MESSAGING_SYSTEM), label(c.EXIT_REASON)
_RECORDED = frozenset(rule.name for rule in RECORDINGS)

Tests = Mapping[str, str]
"""Attribute, or `job` and `instance` -> operator and value."""


def is_(value: str) -> str:
    return f'="{value}"'


OF_JOB: Tests = {"job": '=~"$job"'}
OF_WORKER: Tests = {**OF_JOB, "instance": '=~"$worker"'}
OF_TASK: Tests = {**OF_JOB, c.TASK_NAME: '=~"$task"'}
OF_QUEUE: Tests = {c.QUEUE: '=~"$queue"'}
BROKEN: Tests = {
    c.TASK_STATE: f'=~"{c.FAILURE}|{c.TIMEOUT}|{c.LOST}"',
    c.TASK_EXPECTED: '!="true"',
}
"""Outcomes that somebody should look at."""


def show(name: str) -> str:
    """Return the legend that is a label's value."""
    return f"{{{{{name}}}}}"


def recorded(name: str, tests: Tests | None = None) -> str:
    """Return a selector of a recorded series.

    Raises:
        KeyError: no rule records it.
    """
    if name not in _RECORDED:
        raise KeyError(f"no rule records {name}")
    told = ", ".join(f"{label(key)}{test}" for key, test in (tests or {}).items())
    return f"{name}{{{told}}}" if told else name


def each(by: str, inner: str, how: str = "sum") -> str:
    return f"{how} by ({by}) ({inner})" if by else f"{how}({inner})"


def rate(metric: Metric, by: str, tests: Tests | None = None, suffix: str = "") -> str:
    return each(by, f"rate({select(metric, tests, suffix)}[$__rate_interval])")


def increase(metric: Metric, by: str, tests: Tests | None = None, suffix: str = "") -> str:
    """Return how much a counter grew in the time that the dashboard shows."""
    return each(by, f"increase({select(metric, tests, suffix)}[$__range])")


def count(metric: Metric, by: str, tests: Tests | None = None) -> str:
    """Return the same as a whole number: `increase` estimates what it did not see at the ends."""
    return f"round({increase(metric, by, tests)})"


def quantile(q: float, metric: Metric, by: str, tests: Tests | None = None) -> str:
    """Return a quantile over buckets or, where there are none, over native histograms."""
    buckets = rate(metric, f"{by}, le", tests, "_bucket")
    native = rate(metric, by, tests)
    return f"histogram_quantile({q}, {buckets}) or histogram_quantile({q}, {native})"


def quantile_shown(q: float, metric: Metric, by: str, tests: Tests | None = None) -> str:
    """Return a quantile over the whole time that the dashboard shows."""
    buckets = increase(metric, f"{by}, le", tests, "_bucket")
    native = increase(metric, by, tests)
    return f"histogram_quantile({q}, {buckets}) or histogram_quantile({q}, {native})"


def time_spent(metric: Metric, by: str, tests: Tests | None = None) -> str:
    """Return seconds a second; of native histograms too."""
    return f"{rate(metric, by, tests, '_sum')} or histogram_sum({rate(metric, by, tests)})"


def entries_sent(window: str, how: str) -> str:
    """Return how often beat sent each entry: each sending is one point of its lateness."""
    buckets = each(ENTRY, f"{how}({select(c.LATENESS, None, '_count')}[{window}])")
    native = each(ENTRY, f"{how}({select(c.LATENESS)}[{window}])")
    return f"{buckets} or histogram_count({native})"


def mean(metric: Metric, by: str, tests: Tests | None = None) -> str:
    """Return a mean over the time shown; of those that are native histograms too."""
    buckets = f"{increase(metric, by, tests, '_sum')} / {increase(metric, by, tests, '_count')}"
    return f"{buckets} or histogram_avg({increase(metric, by, tests)})"


# Variables: the first two choose data sources, so that a board fits any Grafana.


def _variable(kind: str, name: str, title: str, query: str | Json, **more: object) -> Json:
    return {"type": kind, "name": name, "label": title, "query": query, **more}


def _values(name: str, title: str, selector: str, key: str, **more: object) -> Json:
    query = f"label_values({selector}, {key})"
    return _variable(
        "query",
        name,
        title,
        {"query": query, "refId": name},
        definition=query,
        datasource=PROMETHEUS,
        refresh=2,  # when the time range changes
        sort=1,
        **more,
    )


_ALL: Json = {"includeAll": True, "multi": True, "current": {"text": ["All"], "value": ["$__all"]}}
_POOL = series(c.POOL_LIMIT)
_QUEUES = f'{{__name__=~"{series(c.QUEUE_DEPTH)}|{series(c.SENT_MESSAGES)}"}}'
_OUTCOMES = select(c.OUTCOMES, OF_JOB)


def sources(searched: Metric = c.POOL_LIMIT) -> tuple[Json, ...]:
    """Return the choices of data sources; links to Jaeger search in services with this metric."""
    return (
        _variable("datasource", "datasource", "Metrics", "prometheus", refresh=1),
        _variable("datasource", "jaeger", "Jaeger", "jaeger", refresh=1),
        _variable("datasource", "tempo", "Tempo", "tempo", refresh=1, hide=2),
        _values("service", "Traces of", series(searched), "job"),
        _variable(
            "textbox",
            "errors",
            "Errors",
            "http://127.0.0.1:8000/issues/1/?q=",
            description="Address of a search in Sentry or Bugsink, up to the text that is sought.",
        ),
    )


JOBS = _values("job", "Workers' service", _POOL, "job", **_ALL)
TASKS = _values("task", "Task", _OUTCOMES, TASK, **_ALL)
QUEUES = _values("queue", "Queue", _QUEUES, QUEUE, **_ALL)
WORKERS = _values("worker", "Worker", f'{_POOL}{{job=~"$job"}}', "instance", **_ALL)


# Links: from a value to the traces and errors behind it.

_VARIABLE = re.compile(r"(\$\{[^}]*\})")


def _explore(source: str, query: Json) -> str:
    """Return an address in Grafana's Explore; what stands in `${}` is filled in at the click."""
    pane = {
        "datasource": source,
        "queries": [{"refId": "A", **query}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    panes = json.dumps({"traces": pane}, separators=(",", ":"))
    parts = _VARIABLE.split(panes)  # those at odd places are variables
    coded = "".join(part if at % 2 else quote(part, safe="") for at, part in enumerate(parts))
    return f"/explore?schemaVersion=1&panes={coded}"


def traces(tests: Mapping[str, str]) -> tuple[Link, ...]:
    """Return links to the traces that have a span with these attributes.

    Failed ones are found by their state: `error=true` finds nothing in the store in memory of
    Jaeger 1.76, which takes the word for a falsehood.
    """
    tags = " ".join(f"{key}={value}" for key, value in tests.items())
    spans = " && ".join(f'span.{key} = "{value}"' for key, value in tests.items())
    jaeger = {"queryType": "search", "service": "${service}", "tags": tags}
    tempo = {"queryType": "traceql", "query": f"{{ {spans} }}"}
    return (
        Link("Its traces in Jaeger", _explore("${jaeger}", jaeger)),
        Link("Its traces in Tempo", _explore("${tempo}", tempo)),
    )


def errors(value: str) -> Link:
    return Link("Its errors in Sentry or Bugsink", f"${{errors:raw}}{value}")


def at_label(name: str) -> str:
    return f"${{__field.labels.{name}}}"


def at_column(title: str) -> str:
    return f"${{__data.fields.{title}}}"


TASK_TRACES = traces({c.TASK_NAME: at_label(TASK)})
FAILED_TRACES = (*TASK_TRACES, errors(at_label(TASK)))
QUEUE_TRACES = traces({c.QUEUE: at_label(QUEUE)})
WORKER_TRACES = traces({c.WORKER_NAME: at_label("instance")})
ENTRY_TRACES = traces({c.BEAT_ENTRY: at_label(ENTRY)})
