"""Sends every case to a running worker, as a program of its own: `python drive.py CASE ...`.

Prints the id of each message that it sent itself, by case, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from typing import Any

import shop_of_cases as shop
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

app = shop.app
DIRECT = (
    "success", "failure", "expected_failure", "retry", "ignore", "reject", "requeue", "soft_limit",
    "hard_limit", "killed", "sys_exit", "lost_and_requeued", "nested", "eager_inside", "odd_text",
)  # fmt: skip


def wait_for(mark: str, id_: str, seconds: float = 60) -> None:
    """Wait until a task has said that it came so far."""
    end = time.monotonic() + seconds
    while not app.backend.client.exists(f"mark:{mark}:{id_}"):
        if time.monotonic() > end:
            raise TimeoutError(f"{id_} never came to {mark}")
        time.sleep(0.02)


def crafted(name: str, body: bytes | None = None, **headers: Any) -> str:
    """Send a message that Celery itself would not make."""
    task_id = str(uuid.uuid4())
    made = app.amqp.as_task_v2(task_id, name, (), {})
    made.headers.update(headers)
    with app.producer_pool.acquire(block=True) as producer:
        if body is None:
            app.amqp.send_task_message(producer, name, made, queue="celery")
        else:
            producer.publish(
                body, exchange="", routing_key="celery", headers=made.headers,
                content_type="application/json", content_encoding="utf-8",
                **made.properties,
            )  # fmt: skip
    return task_id


def send(case: str) -> list[str]:
    """Send the messages of one case."""
    if case in DIRECT:
        return [getattr(shop, case).delay().id]
    if case in shop.canvas():
        sent = shop.canvas()[case].apply_async()
        return [sent.id] if case != "group" else [child.id for child in sent.children]
    if case == "rate_limited":
        return [shop.rate_limited.delay().id for _ in range(3)]
    if case == "batched":
        return [shop.batched.delay(n).id for n in range(2)]
    if case == "topic_retry":
        return [
            shop.topic_retry.apply_async(
                queue="orders", exchange="shop", routing_key="order.new"
            ).id
        ]
    if case == "eta":
        return [shop.success.apply_async(countdown=1).id]
    if case == "expired":
        return [shop.success.apply_async(expires=-5).id]
    if case == "unknown":
        return [app.send_task("no.such.task").id]
    if case == "undecodable":
        return [crafted("shop_of_cases.success", body=b"{not json")]
    if case == "garbage_eta":
        return [crafted("shop_of_cases.success", eta="soon")]
    if case == "overflowing_eta":
        return [crafted("shop_of_cases.success", eta="9999-12-31T23:59:59-12:00")]
    if case == "revoked":
        task_id = str(uuid.uuid4())
        app.control.revoke(task_id, reply=True, timeout=20, limit=1)
        return [shop.success.apply_async(task_id=task_id).id]
    if case == "revoked_waiting":
        sent = shop.success.apply_async(countdown=2)
        app.control.revoke(sent.id)
        return [sent.id]
    if case == "terminated":
        sent = shop.slow.delay()
        wait_for("started", sent.id)
        app.control.revoke(sent.id, terminate=True)
        return [sent.id]
    if case == "survivor":
        sent = shop.survivor.delay()
        wait_for("started", sent.id)
        app.control.revoke(sent.id, terminate=True, signal="SIGUSR1")
        return [sent.id]
    if case == "pool_restart":
        sent = shop.slow.delay(1)
        wait_for("started", sent.id)
        app.control.pool_restart()
        return [sent.id]
    if case == "unsampled":
        with use_span(NonRecordingSpan(SpanContext(1 << 64, 1, False, TraceFlags(0)))):
            return [shop.success.delay().id]
    raise LookupError(case)


def main(*cases: str) -> None:
    """Send these cases, one after the other."""
    print(json.dumps({case: send(case) for case in cases}))


if __name__ == "__main__":
    main(*sys.argv[1:])
