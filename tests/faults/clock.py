"""Whose wall clock is wrong? This program's, by the seconds in the file that CLOCK names.

The file may change while the program runs, as a clock may that is set. Python's monotonic clock
goes on, as the machine's does.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_wall, _wall_ns = time.time, time.time_ns


def _off_by() -> float:
    return float(_path.read_text())


if "CLOCK" in os.environ:
    _path = Path(os.environ["CLOCK"])
    time.time = lambda: _wall() + _off_by()
    time.time_ns = lambda: _wall_ns() + int(_off_by() * 1e9)
