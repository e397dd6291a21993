"""Sends messages that Celery would not make, by kombu alone: `python forge.py`.

Prints the id of each by the name of its trick, as JSON.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

from kombu import Connection

TRACE, SPAN = "ab" * 16, "cd" * 8
GOOD = f"00-{TRACE}-{SPAN}-01"
HEADERS: dict[str, dict[str, Any]] = {
    "good": {"traceparent": GOOD, "tracestate": "vendor=1"},
    "unsampled": {"traceparent": GOOD[:-1] + "0"},
    "nothing": {},
    "upper case": {"traceparent": GOOD.upper()},
    "short": {"traceparent": GOOD[:-4]},
    "all zero": {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"},
    "forbidden version": {"traceparent": "ff" + GOOD[2:]},
    "with an appendix": {"traceparent": GOOD + "-what"},
    "huge": {"traceparent": GOOD + "0" * 1_000_000, "tracestate": "x" * 1_000_000},
    "a number": {"traceparent": 7},
    "a list": {"traceparent": [GOOD], "tracestate": {"vendor": 1}},
    "odd state": {"traceparent": GOOD, "tracestate": "vendor=\u2603\x00"},
    "odd stamp": {"traceparent": GOOD, "otel-celery-sent": "yesterday", "otel-celery-origin": 1},
    "baggage": {"traceparent": GOOD, "baggage": "customer=forged"},
}


def main() -> None:
    """Send one message for each trick."""
    sent = {}
    with Connection(os.environ["CASES_BROKER"]) as connection:
        producer = connection.Producer()
        for trick, headers in HEADERS.items():
            sent[trick] = task_id = str(uuid.uuid4())
            producer.publish(
                ((), {}, {}),
                routing_key="celery",
                serializer="json",
                correlation_id=task_id,
                headers={
                    "lang": "py", "task": "structure.baggage", "id": task_id, "root_id": task_id,
                    "argsrepr": "()", "kwargsrepr": "{}", "retries": 0, **headers,
                },
            )  # fmt: skip
    print(json.dumps(sent))


if __name__ == "__main__":
    main()
