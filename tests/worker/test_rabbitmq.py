"""What is different with RabbitMQ: it drops what has expired, and takes back what was not acked."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery

from tests.receiver import Receiver, receiving
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.cable import cable
from tests.worker.conftest import Services
from tests.worker.expected import CASES
from tests.worker.harness import PRODUCER
from tests.worker.test_matrix import all_ended, messages, words

CHOSEN = (
    "success", "failure", "retry", "ignore", "reject", "requeue", "killed", "lost_and_requeued",
    "revoked_waiting", "unknown", "undecodable", "garbage_eta", "batched", "topic_retry", "chain",
)  # fmt: skip
OUTCOMES, CONSUMED = "celery.task.outcomes", "messaging.client.consumed.messages"
ALONE = ("--without-mingle", "--without-gossip")
PREFORK = (*ALONE, "-P", "prefork", "-c", "3")


def test_the_main_ways_to_end_are_told_alike(
    tmp_path: Path, services: Services, rabbit_client: Celery
) -> None:
    """States, parents and counts are those of any broker; the system is named as it should be."""
    with receiving() as receiver:
        environ = services.environment(receiver)
        with harness.worker(tmp_path, environ, *PREFORK) as worker:
            sent = json.loads(harness.run(environ, "drive.py", *CHOSEN))
            eventually(partial(all_ended, sent, receiver))
            assert worker.stop() == 0
        seen = harness.spans(receiver)
        found = harness.deliveries(seen)
        told = {
            case: tuple(words(one) for task_id in ids for one in found[task_id])
            for case, ids in sent.items()
        }
        assert told == {case: CASES[case][0] for case in CHOSEN}
        assert harness.total(receiver, CONSUMED) == messages(CHOSEN)
        published = {one.id for one in seen if one.span.kind == PRODUCER}
        for case in set(CHOSEN) - {"undecodable"}:
            for one in (span for task_id in sent[case] for span in found[task_id]):
                assert one.parent in published
                assert one.attributes["messaging.system"] == "rabbitmq"
        assert harness.points(receiver, "otel_celery.faults") == []
        assert harness.points(receiver, "celery.worker.broker.reconnections") == []


def ready(client: Celery) -> int:
    """Return how many messages wait in the default queue, which is declared by this."""
    with client.connection_for_read() as connection:
        queue = client.amqp.queues["celery"](connection.default_channel)
        queue.declare()
        count: int = queue.queue_declare(passive=True).message_count
        return count


def test_what_the_broker_drops_itself_is_sent_and_nowhere_else(
    tmp_path: Path, services: Services, rabbit_client: Celery
) -> None:
    """`expires` is a time to live there: no worker hears of such a message."""
    with receiving() as receiver:
        environ = services.environment(receiver)
        ready(rabbit_client)
        (expired,) = json.loads(harness.run(environ, "drive.py", "expired"))["expired"]
        eventually(lambda: ready(rabbit_client) == 0)
        with harness.worker(tmp_path, environ, *PREFORK) as worker:
            sent = json.loads(harness.run(environ, "drive.py", "success"))
            eventually(partial(all_ended, sent, receiver))
            assert worker.stop() == 0
        by_id = harness.deliveries(harness.spans(receiver))
        assert set(by_id) == set(sent["success"])
        assert harness.total(receiver, "messaging.client.sent.messages") == 2
        assert harness.total(receiver, CONSUMED) == 1
        published = {
            one.attributes["messaging.message.id"]: one
            for one in harness.spans(receiver)
            if one.span.kind == PRODUCER
        }
        assert "celery.task.expires" in published[expired].attributes


def test_depth_and_consumers_are_read(
    tmp_path: Path, services: Services, rabbit_client: Celery
) -> None:
    """A queue that nobody consumes keeps its messages and has no consumer; ours has one."""
    with rabbit_client.connection_for_write() as connection:
        rabbit_client.amqp.queues.select_add("parked").bind(connection.default_channel).declare()
    for _ in range(3):
        rabbit_client.send_task("shop_of_cases.success", queue="parked")
    with receiving() as receiver:
        environ = {**services.environment(receiver), "OTEL_CELERY_QUEUES": "parked"}
        with harness.worker(tmp_path, environ, *ALONE, "-P", "solo"):

            def told() -> None:
                of: dict[str, Any] = {"messaging__system": "rabbitmq"}
                parked = {**of, "messaging__destination__name": "parked"}
                mine = {**of, "messaging__destination__name": "celery"}
                waiting = {"celery__queue__message__state": "ready"}
                assert harness.total(receiver, "celery.queue.depth", **parked, **waiting) == 3
                assert harness.total(receiver, "celery.queue.depth", **mine, **waiting) == 0
                found = [
                    (point.attributes["messaging.destination.name"], point.value)
                    for point in harness.points(receiver, "celery.queue.consumer.count")
                ]
                assert sorted(found) == [("celery", 1), ("orders", 1), ("parked", 0)]

            eventually(told)


def states(receiver: Receiver) -> dict[str, float]:
    """Return outcomes by state, less those that are 0."""
    found: dict[str, float] = {}
    for point in harness.points(receiver, OUTCOMES):
        state = point.attributes["celery.task.state"]
        if point.value:
            found[state] = found.get(state, 0) + point.value
    return found


def test_a_lost_connection_is_told_with_all_that_follows(
    tmp_path: Path, services: Services, rabbit_client: Celery
) -> None:
    """A late-acked task runs again beside itself; what had not begun is returned, and comes again.

    The worker reaches the broker by a cable that is cut while one task runs and two wait.
    """
    port = urlsplit(services.broker).port
    assert port is not None
    with receiving() as receiver, cable(port) as line:
        through = services.broker.replace(f":{port}", f":{line.port}")
        environ = services.environment(receiver, through)
        with harness.worker(tmp_path, environ, *PREFORK, app="amqp_app") as worker:
            held = rabbit_client.send_task("amqp_app.held").id
            for _ in range(2):
                rabbit_client.send_task("shop_of_cases.success", countdown=3600)
            waiting = {"celery__worker__task__state": "scheduled"}
            at_hand = "celery.worker.task.count"
            eventually(lambda: rabbit_client.backend.client.exists(f"mark:started:{held}"))
            eventually(lambda: harness.total(receiver, at_hand, **waiting) == 2)
            line.cut()

            def back() -> None:
                assert harness.total(receiver, "celery.worker.broker.reconnections") == 1
                assert states(receiver) == {"returned": 2, "success": 1}
                assert harness.total(receiver, at_hand, **waiting) == 2
                assert harness.total(receiver, "celery.worker.broker.connected") == 1

            eventually(back)
            rabbit_client.backend.client.set("mark:released", 1)
            eventually(lambda: states(receiver) == {"returned": 2, "success": 2})
            assert worker.stop() == 0
        assert states(receiver) == {"returned": 4, "success": 2}
        assert harness.total(receiver, CONSUMED) == 6
        assert harness.total(receiver, CONSUMED, celery__task__redelivered=True) == 3
        first, second = harness.deliveries(harness.spans(receiver))[held]
        assert "celery.task.redelivered" not in first.attributes
        assert second.attributes["celery.task.redelivered"] is True
        ends = [one.span.end_time_unix_nano for one in (first, second)]
        assert ends[0] > ends[1], "the first went on beside the second"
        assert harness.points(receiver, "otel_celery.faults") == []
