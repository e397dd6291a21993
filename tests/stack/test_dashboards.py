"""The dashboards show the shop's day."""

from __future__ import annotations

from tests.stack.day import Day
from tests.stack.panels import assert_every_panel_has_series
from tests.waiting import eventually


def test_every_query_of_every_panel_has_series(day: Day):
    eventually(lambda: assert_every_panel_has_series(day.prometheus), 60, 2)
