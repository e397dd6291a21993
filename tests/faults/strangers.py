"""Messages that strangers wrote: by no Celery, straight into a Redis."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any

import redis

TRACE, SPAN = "ab" * 16, "cd" * 8
GOOD = f"00-{TRACE}-{SPAN}-01"
MEGABYTE = 1_000_000

TRACEPARENTS: dict[str, Any] = {
    "number": 7,
    "boolean": True,
    "nothing": None,
    "list": [GOOD],
    "dictionary": {"traceparent": GOOD},
    "empty": "",
    "short": GOOD[:-4],
    "no hexadecimals": GOOD.replace("ab", "xy"),
    "digits of another script": GOOD.replace("00-", "\u0660\u0660-"),
    "line feed": f"{GOOD}\n",
    "zero trace": f"00-{'0' * 32}-{SPAN}-01",
    "zero span": f"00-{TRACE}-{'0' * 16}-01",
    "upper case": GOOD.upper(),
    "version ff": f"ff{GOOD[2:]}",
    "appendix": f"{GOOD}-more",
    "lone surrogate": f"{GOOD}\ud800",
    "1 MB": "0" * MEGABYTE,
    "1 MB after a good one": f"01{GOOD[2:]}-{'0' * MEGABYTE}",
}
TRACESTATES: dict[str, Any] = {
    "1 MB": "x" * MEGABYTE,
    "250,000 keys": ",".join(f"k{number}=1" for number in range(250_000)),
    "dictionary of 100,000 keys": {f"k{number}": 1 for number in range(100_000)},
    "number": 7,
    "list": ["a=1"],
    "CRLF": "a=1\r\nx: y",
    "NUL": "a=\x00",
    "lone surrogate": "a=\ud800",
}
BAGGAGE: dict[str, Any] = {
    "user": "user.id=admin",
    "1 MB": f"user.id=admin,{'x' * MEGABYTE}=1",
    "1,000 keys": ",".join(["user.id=admin", *(f"k{number}=1" for number in range(1000))]),
    "CRLF": "user.id=admin\r\nx-user: admin",
    "list": ["user.id=admin"],
    "dictionary": {"user.id": "admin"},
    "number": 7,
    "no pairs": "admin," * 1000,
}
ODD_WORDS: dict[str, dict[str, Any]] = {
    "root_id of 1 MB": {"root_id": "x" * MEGABYTE},
    "group is a dictionary": {"group": {"a": ["x" * MEGABYTE]}},
    "parent_id is a list": {"parent_id": [1, None, "\ud800"]},
    "retries is text": {"retries": "x" * MEGABYTE},
    "shadow of 1 MB": {"shadow": "x" * MEGABYTE},
    "stamp of another time": {"otel-celery-sent": "1e400", "otel-celery-origin": 7},
    "stamp is a dictionary": {"otel-celery-sent": {"a": 1}, "otel-celery-origin": [GOOD]},
}
ROUTES: dict[str, Any] = {
    "routing key of 1 MB": {"exchange": "", "routing_key": "x" * MEGABYTE},
    "routing key is a list": {"exchange": "", "routing_key": ["celery"]},
    "routing key is a number": {"exchange": "", "routing_key": 7},
    "exchange is a dictionary": {"exchange": {"name": "x"}, "routing_key": "celery"},
}


class Stranger:
    """Sends to the default queue of one Redis."""

    def __init__(self, url: str) -> None:
        self._url = url

    def send(
        self,
        headers: Mapping[str, Any],
        *,
        task: str = "carried",
        body: object = ((), {}, {}),
        route: object = None,
        number: int = 1,
    ) -> list[str]:
        """Send a message of protocol 2, as often as told, and return the ids.

        Args:
            headers: next to those that name task and id.
            task: its name.
            body: as JSON.
            route: instead of exchange and routing key of the default queue.
            number: of messages, each with an id of its own.
        """
        ids = [str(uuid.uuid4()) for _ in range(number)]
        with redis.Redis.from_url(self._url) as broker:
            for id_ in ids:
                named = {"lang": "js", "task": task, "id": id_, "ignore_result": False}
                broker.lpush("celery", message({**named, **headers}, body, id_, route))
        return ids


def message(headers: object, body: object, id_: str, route: object = None) -> str:
    """Return a message as kombu's Redis transport reads it."""
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": headers,
            "properties": {
                "correlation_id": id_,
                "delivery_mode": 2,
                "delivery_info": route or {"exchange": "", "routing_key": "celery"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )
