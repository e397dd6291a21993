"""The dashboards fit the types that Grafana Labs generate from Grafana's own schemas."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grafana_foundation_sdk", reason="Grafana's types need Python 3.11 or newer")

from tests.collector.grafana_types import complaints

FOLDER = Path(__file__).resolve().parents[2] / "collector" / "grafana" / "dashboards"
BOARDS = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())
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
