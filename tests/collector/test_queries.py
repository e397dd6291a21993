"""Every query of a dashboard is one, and asks for what somebody measures or records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from collector.catalogue.asking import Prometheus, QueryFailed
from collector.catalogue.dashboards import DASHBOARDS
from collector.catalogue.dashboards.queries import queries
from collector.catalogue.names import label, series
from collector.catalogue.recording import RECORDINGS
from otel_celery.conventions import METRICS
from otel_celery.lane_metrics import LANE_METRICS
from tests.services import HOST, free_port, running
from tests.stack.panels import MAY_BE_EMPTY
from tests.waiting import eventually

GRAFANA = Path(__file__).resolve().parents[2] / "collector" / "grafana"
OTHERS = {
    # Prometheus' own, and cAdvisor's.
    "up", "scrape_duration_seconds", "container_memory_usage_bytes",
    "container_cpu_usage_seconds_total",
    # The Collector's, as seen on its own page in a run of the stack.
    "otelcol_exporter_queue_capacity", "otelcol_exporter_queue_size",
    "otelcol_process_cpu_seconds_total", "otelcol_process_memory_rss_bytes",
    "otelcol_processor_tail_sampling_global_count_traces_sampled_total",
    "otelcol_processor_tail_sampling_count_traces_sampled_total",
    "otelcol_processor_tail_sampling_sampling_traces_on_memory",
    *(
        f"otelcol_{verb}_{signal}_total"
        for signal in ("spans", "metric_points", "log_records")
        for verb in ("receiver_accepted", "receiver_refused", "exporter_sent",
                     "exporter_send_failed")
    ),
}  # fmt: skip
SUFFIXES = {"histogram": ("", "_bucket", "_sum", "_count")}
KNOWN = {
    *OTHERS,
    *(rule.name for rule in RECORDINGS),
    *(series(m) + end for m in (*METRICS, *LANE_METRICS) for end in SUFFIXES.get(m.kind, ("",))),
}
LABELS = {
    "job", "instance", "name", "transport", "exporter", "data_type", "decision", "policy",
    "sampled", "le", "__name__",
    *(label(key) for metric in (*METRICS, *LANE_METRICS) for key in metric.keys),
}  # fmt: skip


@pytest.fixture(scope="module")
def prometheus(
    program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Yield a Prometheus that watches nothing: it is asked how it reads queries."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text("")
    url = f"http://{HOST}:{free_port()}"
    command = [
        str(program("prometheus")),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]

    def ready() -> bool:
        try:
            return requests.get(f"{url}/-/ready", timeout=1).ok
        except requests.ConnectionError:
            return False

    with running(command, folder / "log"):
        eventually(ready, 30, 0.1)
        yield Prometheus(url)


def asked() -> Iterator[tuple[str, str]]:
    """Yield (where, query) of the dashboards and of the data sources' links."""
    for dashboard in DASHBOARDS:
        board = json.loads((GRAFANA / "dashboards" / f"{dashboard.name}.json").read_text())
        yield from ((f"{dashboard.name}, {one.panel}", one.expr) for one in queries(board))
    for path in sorted((GRAFANA / "provisioning" / "datasources").glob("*.yaml")):
        for source in yaml.safe_load(path.read_text())["datasources"]:
            for query in source["jsonData"].get("tracesToMetrics", {}).get("queries", ()):
                told = 'celery_task_name="shop.charge_card"'
                yield f"{path.name}, {query['name']}", query["query"].replace("$$__tags", told)


def selectors(tree: Any) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield (name, tests) of everything that a query reads."""
    if isinstance(tree, dict):
        if tree.get("type") == "vectorSelector":
            yield tree["name"], tree["matchers"]
        for part in tree.values():
            yield from selectors(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from selectors(part)


def groupings(tree: Any) -> Iterator[str]:
    """Yield the labels that a query sums by."""
    if isinstance(tree, dict):
        if tree.get("type") == "aggregation":
            yield from tree["grouping"]
        for part in tree.values():
            yield from groupings(part)


def test_every_query_is_one_and_asks_for_what_there_is(prometheus: Prometheus):
    for where, query in asked():
        tree = prometheus.parse(query)
        for name, tests in selectors(tree):
            assert not name or name in KNOWN, f"{where}: {name}"
            assert {test["name"] for test in tests} <= LABELS, f"{where}: {tests}"
            for test in tests:
                if test["name"] == "__name__" and test["type"] == "=~":
                    assert set(test["value"].split("|")) <= {*KNOWN, *MAYBE}, where
        assert set(groupings(tree)) <= LABELS | {label("otel.component.name")}, where


MAYBE = {f"otelcol_exporter_enqueue_failed_{s}_total" for s in ("spans", "metric_points")}
"""Collector's counters that exist from their first event on; not seen in the run."""


def test_a_broken_query_would_be_noticed(prometheus: Prometheus):
    with pytest.raises(QueryFailed, match="parse error"):
        prometheus.parse("sum(rate(up[1m])")


def test_what_may_be_empty_is_asked_for():
    """Else the list of excuses would outlive what it excuses."""
    every = "\n".join(query for _, query in asked())
    assert [name for name in MAY_BE_EMPTY if name not in every] == []
