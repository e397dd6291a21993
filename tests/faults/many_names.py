"""Sends to many names: `python many_names.py ROUND TASKS QUEUES`; each round has its own."""

from __future__ import annotations

import sys

from watched_app import app

round_, tasks, queues = map(int, sys.argv[1:])
for number in range(tasks):
    app.send_task(f"nobody.knows.{round_}.{number}")
for number in range(queues):
    app.send_task("quick", queue=f"nobody-reads-{round_}-{number}")
