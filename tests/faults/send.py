"""Sends messages as a program of its own: `python send.py '[[TASK, NUMBER, ARGS, OPTIONS], ...]'`.

Prints the ids. The program ends as programs do, so that what watches it may say its last word.
"""

from __future__ import annotations

import json
import sys

from watched_app import app

for task, number, args, options in json.loads(sys.argv[1]):
    for _ in range(number):
        print(app.send_task(task, args, **options).id)
