"""How did a number go over the last minutes?"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

STEP = 5.0
STEPS = 60
SPAN = STEP * STEPS
"""Seconds that are looked back on, in steps that stay where they are while time goes on."""
MAX_LINES, MAX_READINGS = 600, 400


class Key(NamedTuple):
    """What a line is of, such as ("task", "shop.charge_card", "ended")."""

    kind: str
    name: str
    what: str


class History:
    """A line of readings for each key; those of keys that nobody notes any more are forgotten."""

    def __init__(self) -> None:
        self._lines: dict[Key, deque[tuple[float, float]]] = {}

    def note(self, key: Key, at: float, value: float) -> None:
        """Add a reading, unless it is one that is already there.

        Args:
            key: of its line.
            at: when it was true, Unix seconds; readings come in that order.
            value: a level, or a count that only grows.
        """
        if key not in self._lines and len(self._lines) >= MAX_LINES:
            return
        line = self._lines.setdefault(key, deque(maxlen=MAX_READINGS))
        if not line or at > line[-1][0]:
            line.append((at, value))

    def forget(self, now: float) -> None:
        """Drop what is older than anybody looks back."""
        for key, line in list(self._lines.items()):
            while line and line[0][0] < now - SPAN - 2 * STEP - 60:
                line.popleft()
            if not line:
                del self._lines[key]

    def rates(self, key: Key, now: float) -> list[float | None]:
        """Return how fast a count grew, per second, in each step.

        Between two readings it counts as growing evenly, however far apart they are. None: not
        known, such as in the steps since the last reading.
        """
        line = list(self._lines.get(key, ()))
        edges = [edge - STEP for edge in [*ends(now), ends(now)[-1] + STEP]]
        totals = [between(line, edge) for edge in edges]
        return [
            None if a is None or b is None else max(b - a, 0.0) / STEP for a, b in pairwise(totals)
        ]

    def levels(self, key: Key, now: float, fresh: float) -> list[float | None]:
        """Return how high a level stood at the end of each step.

        Args:
            key: of its line.
            now: Unix seconds.
            fresh: seconds that a reading stands for; None where there is no such reading.
        """
        line = list(self._lines.get(key, ()))
        times = [at for at, _ in line]
        found: list[float | None] = []
        for end in ends(now):
            place = bisect_right(times, end) - 1
            known = place >= 0 and end - times[place] <= fresh
            found.append(line[place][1] if known else None)
        return found


def ends(now: float) -> list[float]:
    """Return the last full steps' ends, oldest first."""
    last = math.floor(now / STEP) * STEP
    return [last - STEP * back for back in reversed(range(STEPS))]


def between(line: Sequence[tuple[float, float]], at: float) -> float | None:
    """Return the count at a moment between two readings, None outside of all."""
    place = bisect_right(line, (at, math.inf))
    if place == 0 or (place == len(line) and line[-1][0] < at):
        return None
    (before, low), (after, high) = line[place - 1], line[min(place, len(line) - 1)]
    share = 0.0 if after == before else (at - before) / (after - before)
    return low + (high - low) * share


def add_lines(lines: Iterable[Sequence[float | None]]) -> list[float | None]:
    """Return the sum of lines; None where none of them is known."""
    total: list[float | None] = [None] * STEPS
    for line in lines:
        total = [
            b if a is None else a if b is None else a + b for a, b in zip(total, line, strict=True)
        ]
    return total
