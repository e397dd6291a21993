"""The dashboards are what Grafana takes, and ask for what there is."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from collector.catalogue.dashboards import DASHBOARDS
from collector.catalogue.dashboards.queries import panels

pytest.importorskip("grafana_foundation_sdk", reason="Grafana's types need Python 3.11 or newer")

from tests.collector.grafana_types import complaints

ROOT = Path(__file__).resolve().parents[2]
BOARDS = {
    path.stem: json.loads(path.read_text())
    for path in (ROOT / "collector" / "grafana" / "dashboards").glob("*.json")
}
EVERY = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


def test_every_dashboard_has_its_file():
    assert set(BOARDS) == {dashboard.name for dashboard in DASHBOARDS}


@EVERY
def test_a_dashboard_fits_grafanas_own_types(board: dict[str, Any]):
    found = list(complaints(board))
    assert found == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("schemaVersion",), "42", id="a-number-as-text"),
        pytest.param(("panels", 1, "gridpos"), {}, id="a-key-that-does-not-exist"),
        pytest.param(("panels", 1, "options", "colorMode"), "loud", id="a-word-of-no-enumeration"),
        pytest.param(("panels", 1, "targets", 0, "expression"), "up", id="a-key-of-a-query"),
        pytest.param(("panels", 1, "fieldConfig", "defaults", "unit"), 1, id="a-unit-as-number"),
        pytest.param(("panels", 8, "fieldConfig", "defaults", "custom", "fill"), 1, id="a-field"),
        pytest.param(("templating", "list", 0, "type"), "prometheus", id="a-variable"),
    ],
)
def test_the_comparison_with_grafanas_types_sees_a_mistake(path: tuple[str | int, ...], value: Any):
    board = copy.deepcopy(BOARDS["overview"])
    place: Any = board
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    found = list(complaints(board))
    assert found


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
    """Those of durations, waits and lateness; the SDK gives the others none worth a click."""
    for panel in panels(board):
        for target in panel["targets"]:
            expr = target.get("expr", "")
            watched = any(
                name in expr
                for name in ("process_duration_seconds_bucket", "queue_wait_duration", "lateness")
            )
            if watched and target["range"] and "_bucket" in expr:
                assert target["exemplar"], panel["title"]


@EVERY
def test_links_are_whole_addresses_without_a_place_left_open(board: dict[str, Any]):
    for panel in panels(board):
        for link in panel["fieldConfig"]["defaults"]["links"]:
            assert link["url"].startswith(("/explore?", "${errors:raw}")), panel["title"]
            assert " " not in link["url"]
            assert '"' not in link["url"]
