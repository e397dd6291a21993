"""Where does one piece of work of a measured program end, and the next begin?

A mark is a call of `getpriority`, which nothing else here makes: callgrind writes down at each what
it has counted since the one before.
"""

from __future__ import annotations

import os
import subprocess
import time

VGDB = "BENCH_VGDB"
"""Variable with the program that gives callgrind orders; not set where it does not watch."""


class Marks:
    """Says what the piece of work was that ends here, and what time it took."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []
        _begin_to_count()
        self._thread, self._process = time.thread_time_ns(), time.process_time_ns()
        self("")

    def __call__(self, piece: str) -> None:
        thread, process = time.thread_time_ns(), time.process_time_ns()
        os.getpriority(os.PRIO_PROCESS, 0)
        self.seen.append((piece, thread - self._thread, process - self._process))
        self._thread, self._process = time.thread_time_ns(), time.process_time_ns()


def _begin_to_count() -> None:
    """Tell callgrind to count; until now it has only watched, which is several times quicker."""
    if (vgdb := os.environ.get(VGDB)) is None:
        return
    order = [vgdb, f"--pid={os.getpid()}", "instrumentation", "on"]
    with subprocess.Popen(order, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as told:
        while told.poll() is None:  # valgrind looks for orders while a program runs, not in a wait
            pass
    if told.returncode:
        raise RuntimeError(f"{' '.join(order)} ended with {told.returncode}")
