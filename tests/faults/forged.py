"""Sends messages of a producer that forges its context, by kombu alone: `python forged.py NUMBER`.

All of them claim to belong to one trace, which is sampled.
"""

from __future__ import annotations

import os
import sys
import uuid

from kombu import Connection

TRACE = "ab" * 16


def main(number: int) -> None:
    """Send so many."""
    with Connection(os.environ["CASES_BROKER"]) as connection:
        producer = connection.Producer()
        for _ in range(number):
            id_ = str(uuid.uuid4())
            producer.publish(
                ((), {}, {}),
                routing_key="celery",
                serializer="json",
                correlation_id=id_,
                headers={
                    "lang": "py", "task": "quick", "id": id_, "root_id": id_,
                    "argsrepr": "()", "kwargsrepr": "{}", "retries": 0,
                    "traceparent": f"00-{TRACE}-{uuid.uuid4().hex[:16]}-01",
                },
            )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]))
