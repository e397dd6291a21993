"""How do durations of tasks become points of contrib's histogram?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_celery import conventions as c
from otel_celery.cells import Records, Values
from otel_celery.contrib import DUP, RUNTIME
from otel_celery.envelope import Trace
from otel_celery.metrics import Instruments

_TASK = c.PROCESS_DURATION.keys.index(c.TASK_NAME)


class Runtimes(dict[Values, Any]):
    """Series to be used as those of our histogram, which record in that of contrib.

    Args:
        theirs: series of contrib's histogram.
        worker: its nodename.
        ours: where ours goes on beside it.
    """

    def __init__(
        self,
        theirs: Mapping[Values, Records],
        worker: str,
        ours: Mapping[Values, Records] | None = None,
    ) -> None:
        self._theirs, self._worker, self._ours = theirs, worker, ours

    def __missing__(self, values: Values) -> Records:
        runtime = self._theirs[values[_TASK], self._worker]
        made = runtime if self._ours is None else _Both(self._ours[values], runtime)
        self[values] = made
        return made


class _Both:
    __slots__ = ("_ours", "_theirs")

    def __init__(self, ours: Records, theirs: Records) -> None:
        self._ours, self._theirs = ours, theirs

    def record(self, value: float, trace: Trace | None = None) -> None:
        self._ours.record(value, trace)
        self._theirs.record(value, trace)


def measure_runtimes(instruments: Instruments, names: str, worker: str) -> None:
    """Have contrib's histogram instead of ours, or beside it where the names are doubled."""
    ours = instruments.histograms(c.PROCESS_DURATION) if names == DUP else None
    theirs = instruments.histograms(RUNTIME)
    instruments.replace(c.PROCESS_DURATION, Runtimes(theirs, worker, ours))
