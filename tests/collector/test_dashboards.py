"""The dashboards are what Grafana takes, and ask for what there is."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from collector.catalogue.dashboards import DASHBOARDS
from collector.catalogue.dashboards.queries import panels

ROOT = Path(__file__).resolve().parents[2]
BOARDS = {
    path.stem: json.loads(path.read_text())
    for path in (ROOT / "collector" / "grafana" / "dashboards").glob("*.json")
}
EVERY = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


def test_every_dashboard_has_its_file():
    assert set(BOARDS) == {dashboard.name for dashboard in DASHBOARDS}


@EVERY
def test_ids_are_unique_and_uids_name_the_file(board: dict[str, Any]):
    ids = [panel["id"] for panel in board["panels"]]
    assert sorted(set(ids)) == sorted(ids)
    assert {b["uid"] for b in BOARDS.values()} == {f"otel-celery-{name}" for name in BOARDS}


@EVERY
def test_no_panel_lies_on_another_or_beside_the_grid(board: dict[str, Any]):
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert (x, y) not in taken, f"{panel['title']} on {taken[x, y]}"
                taken[x, y] = panel["title"]


@EVERY
def test_every_panel_says_what_to_read_from_it(board: dict[str, Any]):
    for panel in panels(board):
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
        assert panel["targets"], panel["title"]


@EVERY
def test_titles_are_unique_within_a_dashboard(board: dict[str, Any]):
    titles = [panel["title"] for panel in panels(board)]
    assert sorted(set(titles)) == sorted(titles)


@EVERY
def test_lines_over_histograms_carry_exemplars(board: dict[str, Any]):
    """Those of runs and waits: the others are measured outside of any span."""
    for panel in panels(board):
        for target in panel["targets"]:
            expr = target.get("expr", "")
            watched = any(
                name in expr for name in ("process_duration_seconds_bucket", "queue_wait_duration")
            )
            if watched and target["range"] and "_bucket" in expr:
                assert target["exemplar"], panel["title"]


@EVERY
def test_quantiles_keep_their_bounds_and_pies_are_of_the_time_shown(board: dict[str, Any]):
    """Without `le` a quantile is of nothing; a counter's total is of the processes' whole lives."""
    for panel in panels(board):
        for target in panel["targets"]:
            expr = target.get("expr", "")
            for before in expr.split("_bucket")[:-1]:
                assert re.search(r"sum by \([^)]*\ble\) \(\w+\(\w+$", before), panel["title"]
            if panel["type"] == "piechart":
                assert "increase(" in expr, panel["title"]


@EVERY
def test_links_are_whole_addresses_without_a_place_left_open(board: dict[str, Any]):
    for panel in panels(board):
        for link in panel["fieldConfig"]["defaults"]["links"]:
            assert link["url"].startswith(("/explore?", "${errors:raw}")), panel["title"]
            assert " " not in link["url"]
            assert '"' not in link["url"]


@pytest.mark.parametrize("name", BOARDS)
def test_the_picture_in_the_docs_shows_every_panel(name: str):
    """If not: `make pictures`. Its data may be old, what it shows may not."""
    drawn = ET.parse(ROOT / "docs" / "dashboards" / f"{name}.svg")
    texts = {
        "".join(one.itertext()).strip() for one in drawn.iter("{http://www.w3.org/2000/svg}text")
    }
    assert {panel["title"] for panel in BOARDS[name]["panels"]} <= texts
    assert f"(dashboards/{name}.svg)" in (ROOT / "docs" / "dashboards.md").read_text()
