"""The dashboards show the shop's day, and their links lead somewhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

import pytest

from collector.catalogue.asking import Prometheus
from collector.catalogue.dashboards.queries import EVERYTHING, fill, panels, queries
from collector.catalogue.picture import picture
from tests.stack.day import Day, ask
from tests.stack.panels import (
    BOARDS,
    assert_every_panel_has_series,
    assert_rows_of_tables_join,
    may_be_empty,
)
from tests.waiting import eventually

SHOWN = [json.loads(path.read_text()) for path in sorted(BOARDS.glob("*.json"))]
VARIABLE = re.compile(r"\$\{(?:__field\.labels|__data\.fields)\.(\w+)\}")
CLICKED = {
    "celery_task_name": "shop.resize_photo", "Task": "shop.resize_photo",
    "celery_task_state": "lost", "State": "lost", "error_type": "WorkerLostError",
    "messaging_destination_name": "orders", "Queue": "orders",
    "celery_beat_entry_name": "count-stock", "Entry": "count-stock", "job": "shop-worker",
}  # fmt: skip
"""What stands where somebody clicks; instances are asked of Prometheus."""


def test_every_query_of_every_panel_has_series(day: Day):
    eventually(lambda: assert_every_panel_has_series(day.prometheus), 60, 2)


def test_rows_of_tables_are_joined_by_their_labels(day: Day):
    assert_rows_of_tables_join(day.prometheus)


@pytest.mark.parametrize("board", SHOWN, ids=lambda board: board["uid"])
def test_a_dashboard_can_be_drawn(day: Day, board: dict[str, Any]):
    """Panels without an answer would say so, tables and stats would miss their numbers."""
    drawn = picture(board, Prometheus(day.prometheus), time.time(), 120)
    empty = {asked.panel for asked in queries(board) if may_be_empty(asked)}
    filled = [panel for panel in panels(board) if panel["title"] not in empty]
    assert all(f">{escape(panel['title'])}<" in drawn for panel in panels(board))
    assert drawn.count("No data") <= len(list(panels(board))) - len(filled)


def test_lines_with_exemplars_have_some(day: Day):
    prometheus, now = Prometheus(day.prometheus), time.time()
    for board in SHOWN:
        for panel in panels(board):
            for target in panel["targets"]:
                if target.get("exemplar"):
                    values = {**EVERYTHING, "__rate_interval": "1m", "__range": "10m"}
                    found = prometheus.exemplars(fill(target["expr"], values), now - 600, now)
                    assert any(one["labels"].get("trace_id") for one in found), panel["title"]


def searches() -> Iterator[tuple[str, str]]:
    """Yield (dashboard, tags) of every search in Jaeger that a panel makes or links to."""
    for board in SHOWN:
        for panel in panels(board):
            for target in panel["targets"]:
                if target["datasource"]["type"] == "jaeger":
                    yield board["uid"], target["tags"]
            for link in panel["fieldConfig"]["defaults"]["links"]:
                if "${jaeger}" in link["url"]:
                    pane = json.loads(unquote(link["url"]).split("panes=")[1])
                    yield board["uid"], pane["traces"]["queries"][0]["tags"]


@pytest.mark.parametrize(("board", "tags"), sorted(set(searches())))
def test_a_search_in_jaeger_finds_traces(day: Day, board: str, tags: str):
    service = "shop-beat" if board.endswith("beat") else "shop-worker"
    newest = f'topk(1, target_info{{job="{service}"}})'
    clicked = {**CLICKED, "instance": day.query(newest)[0]["metric"]["instance"]}
    clicked["Worker"] = clicked["instance"]
    told = VARIABLE.sub(lambda found: clicked[found[1]], tags)
    wanted = json.dumps(dict(pair.split("=", 1) for pair in told.split()))
    found = ask(f"{day.jaeger}/api/traces", service=service, tags=wanted, limit=3, lookback="1h")
    assert found["data"], told
