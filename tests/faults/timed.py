"""What does a publish take, small or large? `python timed.py TIMES SIZE` prints milliseconds."""

from __future__ import annotations

import statistics
import sys
import time

from watched_app import app

times, size = map(int, sys.argv[1:])
argument = "x" * size
app.send_task("quick", (argument,))  # connects
taken = []
for _ in range(times):
    begin = time.perf_counter()
    app.send_task("quick", (argument,))
    taken.append(time.perf_counter() - begin)
print(statistics.median(taken) * 1e3)
