"""Sends to every kind of queue of the app: `python send_delayed.py early|late`.

Prints the ids by what they are sent for, as JSON.
"""

from __future__ import annotations

import json
import sys

from delayed_app import again, quick

EARLY = {
    f"priority {priority}": (quick, {"queue": "urgent", "priority": priority})
    for priority in (1, 9, 5)
}
LATE = {
    "at once": (quick, {}),
    "countdown": (quick, {"countdown": 2}),
    "topic": (quick, {"queue": "delayed-orders", "routing_key": "order.new.big"}),
    "topic with countdown": (quick, {"queue": "delayed-orders", "countdown": 1}),
    "retry": (again, {}),
    "fanout": (quick, {"queue": "news-here"}),
    "kept": (quick, {"countdown": 3600}),
    "unroutable": (quick, {"exchange": "delayed-shop", "routing_key": "nobody"}),
}

chosen = EARLY if sys.argv[1] == "early" else LATE
print(
    json.dumps({what: task.apply_async(**options).id for what, (task, options) in chosen.items()})
)
