"""Has every query of every dashboard an answer?"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from collector.catalogue.asking import Prometheus
from collector.catalogue.dashboards.queries import Asked, panels, queries

BOARDS = Path(__file__).resolve().parents[2] / "collector" / "grafana" / "dashboards"

MAY_BE_EMPTY = {
    # what its series are called -> why the shop has none
    "celery_queue_consumer_count": "Redis does not know its consumers",
    'celery:queue_depth{messaging_destination_name=~".+", celery_queue_message_state="unacked"}': (
        "Redis does not know them by queue"
    ),
    "celery:ledger_queue:difference": "needs to know what a queue held an hour ago",
    "celery:worker_memory_ratio": "a worker on a bare machine has no limit of memory",
    "celery_worker_broker_reconnections_total": "begins with the first lost connection",
    'messaging_client_sent_messages_total{messaging_destination_name=~".+", error_type!=""}': (
        "begins with the first message that could not be sent"
    ),
    "otel_celery_relay_dropped_total": "begins with the first loss",
    "otel_celery_facts_dropped_total": "begins with the first loss",
    "otel_celery_attribute_overflows_total": "begins with the 201st task name",
    "otel_celery_clock_skew_corrections_total": "begins when clocks disagree",
    "otel_celery_faults_total": "begins with the first fault of ours",
    "otelcol_exporter_send_failed_": "begins with the first failure of a backend",
    "_log_records": "the shop sends no logs",
    "container_": "cAdvisor is a profile of the compose file",
}


def assert_every_panel_has_series(prometheus_url: str, shown: str = "10m") -> None:
    """Ask a Prometheus behind the whole shop all that the dashboards ask.

    Args:
        prometheus_url: of one that has watched for a minute at least.
        shown: how much time the dashboards show; as long as the shop was open.
    """
    prometheus, now = Prometheus(prometheus_url), time.time()
    empty = {
        f"{board.stem}, {asked.panel}, {asked.letter}: {asked.expr}"
        for board in sorted(BOARDS.glob("*.json"))
        for asked in queries(json.loads(board.read_text()), shown=shown)
        if not may_be_empty(asked) and not _answers(prometheus, asked, now)
    }
    assert not empty, "\n".join(sorted(empty))


def assert_rows_of_tables_join(prometheus_url: str, shown: str = "10m") -> None:
    """See that the answers in a table have the same labels, or Grafana makes them rows apart."""
    prometheus, now = Prometheus(prometheus_url), time.time()
    for board in map(json.loads, (path.read_text() for path in BOARDS.glob("*.json"))):
        columns = {
            panel["title"]: {
                field
                for field in panel["transformations"][1]["options"]["renameByName"]
                if not field.startswith("Value")
            }
            for panel in panels(board)
            if panel["type"] == "table" and len(panel["transformations"]) > 1
        }
        for asked in queries(board, shown=shown):
            if asked.panel in columns:
                for one in prometheus.now(asked.expr, now):
                    assert one.labels.keys() == columns[asked.panel], asked


def may_be_empty(asked: Asked) -> bool:
    return any(name in asked.expr for name in MAY_BE_EMPTY)


def _answers(prometheus: Prometheus, asked: Asked, now: float) -> bool:
    """Look back as the panel does: a line may have ended a minute ago, as a rate of failures."""
    found = (
        prometheus.over(asked.expr, now - 300, now, 10)
        if asked.over_time
        else prometheus.now(asked.expr, now)
    )
    return any(not math.isnan(value) for one in found for _, value in one.points)
