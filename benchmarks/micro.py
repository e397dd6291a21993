"""What does one task cost in each place, in instructions and in CPU time?"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks import callgrind
from benchmarks.peers import BUILT, environment, python_of
from benchmarks.sink import Sink

PLACES = ("publish", "main", "pool")


class Cost(NamedTuple):
    """Of one task in one place, by one measure.

    Attributes:
        hot: in the way of who publishes, of main's event loop, of the task.
        all: with every other thread of the process, export included.
    """

    hot: float
    all: float

    def over(self, bare: Cost) -> Cost:
        """Return what it costs more than Celery alone."""
        return Cost(self.hot - bare.hot, self.all - bare.all)


def instructions(side: str, place: str, sink: Sink, tasks: int, rounds: int) -> Cost:
    """Return the instructions of one task: the median round's."""
    cpu_time(side, place, sink, 1, 1)  # or callgrind would watch Python compile its modules
    printed, marks = callgrind.run(
        [str(python_of(side)), *_program(side, place, tasks, rounds)],
        environment(side, sink.url),
        folder(side, place),
    )
    pieces = [piece for piece, *_ in json.loads(printed)]
    if len(pieces) != len(marks):
        raise RuntimeError(f"{len(marks)} marks were counted, and {len(pieces)} made")
    hot, rest = defaultdict(list), defaultdict(list)
    for piece, threads in zip(pieces, marks, strict=True):
        hot[piece].append(threads.get(1, 0))
        rest[piece].append(sum(threads.values()))
    return _cost(hot["hot"], rest["hot"], rest["background"], tasks)


def instructions_of(
    sides: Sequence[str], sink: Sink, tasks: int, rounds: int
) -> dict[str, dict[str, Cost]]:
    """Return the instructions of one task by place and side; what is counted may run side by side.

    Raises:
        RuntimeError: a side does not run.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            (place, side): pool.submit(instructions, side, place, sink, tasks, rounds)
            for place in PLACES
            for side in sides
        }
        return {place: {side: runs[place, side].result() for side in sides} for place in PLACES}


def cpu_time(side: str, place: str, sink: Sink, tasks: int, rounds: int) -> Cost:
    """Return microseconds of CPU of one task: the median round's."""
    done = subprocess.run(
        [str(python_of(side)), *_program(side, place, tasks, rounds)],
        env=environment(side, sink.url), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{side} ended with {done.returncode}:\n{done.stderr}")
    told = json.loads(done.stdout)
    hot = [thread / 1e3 for piece, thread, _ in told if piece == "hot"]
    all = [process / 1e3 for piece, _, process in told if piece == "hot"]
    background = [process / 1e3 for piece, _, process in told if piece == "background"]
    return _cost(hot, all, background, tasks)


def folder(side: str, place: str) -> Path:
    return BUILT / f"{side}-{place}"


def _program(side: str, place: str, tasks: int, rounds: int) -> list[str]:
    return ["-m", "benchmarks.places", side, place, str(tasks), str(rounds)]


def _cost(
    hot: Sequence[float], all: Sequence[float], background: Sequence[float], tasks: int
) -> Cost:
    both = [one + other for one, other in zip(all, background, strict=True)]
    return Cost(statistics.median(hot) / tasks, statistics.median(both) / tasks)
