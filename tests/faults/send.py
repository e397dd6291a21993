"""Sends messages as a program of its own: `python send.py TASK NUMBER [JSON ARGUMENTS]`.

Prints the ids. The program ends as programs do, so that what watches it may say its last word.
"""

from __future__ import annotations

import json
import sys

from watched_app import app

task, number, *arguments = sys.argv[1:]
args = json.loads(arguments[0]) if arguments else ()
for _ in range(int(number)):
    print(app.send_task(task, args).id)
