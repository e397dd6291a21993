"""What does a process remember of each series between two readings?"""

from __future__ import annotations

import pytest

from otel_celery import cells as module
from otel_celery import conventions as c
from otel_celery.cells import OVERFLOW, Cells, HistogramCell
from tests.unit.stand_ins import OWN


@pytest.fixture
def cells() -> Cells:
    return Cells()


def test_a_series_is_the_same_cell_each_time(cells: Cells):
    """Who counts often may keep it."""
    row = cells.counters(c.PROCESS_EXITS)
    kept = row["signal",]
    kept.add()
    row["signal",].add(2)
    assert row["signal",] is kept is cells.counters(c.PROCESS_EXITS)["signal",]
    assert [cell.value for cell in cells.counting[c.PROCESS_EXITS].cells()] == [3]


def test_values_must_be_as_many_as_the_row_has_keys(cells: Cells):
    """Else a value would stand under the key of another."""
    with pytest.raises(ValueError, match="shorter"):
        cells.counters(c.OUTCOMES)["redis", "mail"]


def test_a_value_on_a_bound_is_below_it(cells: Cells):
    """As OpenTelemetry has it: bounds are inclusive."""
    series = cells.histograms(c.QUEUE_WAIT)["redis", "mail", "shop.pay"]
    for value in (0, 0.01, 0.011, 3600.0, 3601.0):
        series.record(value)
    (cell,) = cells.recording[c.QUEUE_WAIT].cells()
    assert (cell.buckets[:2], cell.buckets[-2:]) == ([2, 1], [1, 1])
    assert (cell.smallest, cell.largest) == (0, 3601.0)


def test_each_bucket_keeps_the_last_trace(cells: Cells):
    """A value without one, or of one that is not sampled, leaves it there."""
    series = cells.histograms(c.LATENESS)["nightly",]
    other = OWN._replace(span_id="f" * 16)
    for value, trace in (
        (0.2, OWN), (0.21, other), (0.22, None), (0.23, OWN._replace(sampled=False)), (7.0, OWN),
    ):  # fmt: skip
        series.record(value, trace)
    (cell,) = cells.recording[c.LATENESS].cells()
    kept = [(each[0], each[2]) for each in cell.exemplars if each is not None]
    assert kept == [(0.21, other), (7.0, OWN)]


def test_beyond_the_limit_there_is_one_series(cells: Cells, monkeypatch: pytest.MonkeyPatch):
    """It says so, and its exemplars say which series they would have been of."""
    monkeypatch.setattr(module, "MOST_SERIES", 2)
    exits, late = cells.counters(c.PROCESS_EXITS), cells.histograms(c.LATENESS)
    for name in ("a", "b", "c", "d", "a", "d"):
        exits[name,].add()
        late[name,].record(1.0, OWN)
    counted = [(cell.attributes, cell.value) for cell in cells.counting[c.PROCESS_EXITS].cells()]
    assert counted == [({c.EXIT_REASON: "a"}, 2), ({c.EXIT_REASON: "b"}, 1), (OVERFLOW, 3)]
    *_, rest = cells.recording[c.LATENESS].cells()
    assert isinstance(rest, HistogramCell)
    assert (rest.attributes, sum(rest.buckets)) == (OVERFLOW, 3)
    assert [each[3] for each in rest.exemplars if each is not None] == [("d",)]
