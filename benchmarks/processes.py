"""What CPU time and memory have processes used?"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil


class Memory(NamedTuple):
    """Bytes of one process: its share of what several map, and all that it maps."""

    pss: int
    rss: int


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of one process, without those of its children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def memory(pid: int) -> Memory:
    fields = dict(
        line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    return Memory(int(fields["Pss:"]) * 1024, int(fields["Rss:"]) * 1024)


def children(main: psutil.Process) -> list[psutil.Process]:
    """Return a worker's pool processes."""
    return sorted(main.children(), key=lambda child: child.pid)


def run(command: Sequence[str], environ: Mapping[str, str], timeout: float) -> tuple[str, float]:
    """Run a program; return what it printed, and the CPU seconds of its whole life."""
    before = os.times()
    done = subprocess.run(
        command, env=dict(environ), capture_output=True, text=True, timeout=timeout, check=False
    )
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    used = after.children_user + after.children_system
    return done.stdout, used - before.children_user - before.children_system
