"""Sends the messages of the ledger's plan: `python ledger_send.py SEED NUMBER`.

It keeps some way ahead of the worker, no more: faults shall meet what is on its way.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import ledger_app
from books import Tail
from kombu.exceptions import OperationalError
from ledger_app import app, pen, sending
from ledger_plan import messages

AHEAD = 300


def undecodable(task_id: str) -> None:
    """Send a body that no worker can read, through the door that Celery itself uses."""
    made = app.amqp.as_task_v2(task_id, "quick", (), {})
    with app.producer_pool.acquire(block=True) as producer:
        app.amqp.send_task_message(
            producer, "quick", made._replace(body=b"{not json"), queue="celery",
            content_type="application/json", content_encoding="utf-8",
        )  # fmt: skip


def send(kind: str, task_id: str) -> None:
    options: dict[str, Any] = {"task_id": task_id}
    if kind == "unknown":
        app.send_task("no.such.task", **options)
    elif kind == "undecodable":
        undecodable(task_id)
    elif kind == "expired":
        ledger_app.quick.apply_async(expires=-5, **options)
    elif kind == "eta":
        ledger_app.quick.apply_async(countdown=1, **options)
    elif kind == "revoked":
        ledger_app.quick.apply_async(countdown=2, **options)
    else:
        getattr(ledger_app, kind).apply_async(**options)


def main(seed: str, number: str) -> None:
    tail, received = Tail(Path(os.environ["BOOKS"])), set()
    for n, kind in enumerate(messages(int(seed), int(number))):
        while n - len(received) > AHEAD:
            time.sleep(0.02)
            received |= {said[2] for said in tail() if said[0] == "received"}
        task_id = str(uuid.uuid4())
        pen("planned", task_id, kind)
        try:
            with sending(task_id):
                send(kind, task_id)
        except OperationalError:  # the broker is away; its publisher goes on with the next
            time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
