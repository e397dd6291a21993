"""How do durations of tasks become points of contrib's histogram?"""

from __future__ import annotations

import pytest

from otel_celery import conventions as c
from otel_celery.contrib import CONTRIB, DUP, RUNTIME
from otel_celery.contrib_runtimes import measure_runtimes
from otel_celery.counts import Counts
from tests.unit.stand_ins import LANES, Readings, delivery, ended


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("names", "ours"),
    [
        pytest.param(CONTRIB, {}, id="instead"),
        pytest.param(DUP, {(None,): 2, ("_OTHER",): 1}, id="beside"),
    ],
)
def test_each_run_is_in_contribs_histogram(
    lane: str, names: str, ours: dict[tuple[str | None], int]
):
    """Failures and successes of a task are one series there."""
    readings = Readings(lane)
    measure_runtimes(readings.instruments, names, "w@host")
    counts = Counts(readings.instruments)
    for state in ("success", "failure", "retry"):
        last = ended(delivery(), state)
        counts.ended(last, last.end_mono)
    counts.settle()
    (point,) = readings.points(RUNTIME)
    assert (point.attributes, point.count, point.sum, point.explicit_bounds) == (
        {"task": "shop.pay", "worker": "w@host"},
        3,
        9.0,
        RUNTIME.buckets,
    )
    assert len(point.exemplars) == 1
    assert readings.values(c.PROCESS_DURATION, "error.type") == ours
    readings.provider.shutdown()
