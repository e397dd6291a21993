"""Does a real worker have the series that the arithmetic says?"""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.recording import points_of, record, series_of
from benchmarks.series import Worker
from otel_celery.vitals import memory_limit
from tests.services import ServiceMissing, missing, program

HERE = {
    "process": importlib.util.find_spec("opentelemetry.instrumentation.system_metrics") is not None,
    "memory_limit": bool(list(memory_limit())),
}


@pytest.mark.worker
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Worker(3, 2, 2, 1, reads_queues=True, **HERE), id="buckets"),
        pytest.param(Worker(5, 3, 1, 0, native=True, **HERE), id="native"),
    ],
)
def test_a_real_worker_has_the_series_that_the_arithmetic_says(shape: Worker) -> None:
    """Whatever it exports when each task has ended in each way; no metric is left out."""
    try:
        program("redis-server")
    except ServiceMissing as why:
        missing(str(why))
    recording = record(shape)
    points = {name: len(each) for name, each in points_of(recording.metrics).items()}
    assert points == shape.points()
    assert series_of(recording.metrics) == {name: shape.series_of(name) for name in points}
    assert sum(series_of(recording.metrics).values()) + 1 == shape.series()
