"""What is told of quorum queues, priorities, topics, fanouts, and of delays that RabbitMQ keeps?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import pytest
from celery import Celery

from tests.receiver import Receiver, receiving
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.conftest import Services
from tests.worker.harness import PRODUCER, Seen

pytestmark = pytest.mark.long

DEPTH = "celery.queue.depth"
KEPT = "celery_delayed_11"
"""Where a message with a delay of an hour waits at first: 2,048 seconds."""
QUEUES = {
    "priority 1": "urgent",
    "priority 5": "urgent",
    "priority 9": "urgent",
    "at once": "delayed",
    "countdown": "delayed",
    "topic": "delayed-orders",
    "topic with countdown": "delayed-orders",
    "retry": "delayed",
    "fanout": "news",
    "kept": "delayed",
    "unroutable": "nobody",
}
CONSUMED = ("delayed", "delayed-orders", "urgent")
STAYS = {"kept", "unroutable"}
RUNS = Counter(dict.fromkeys(QUEUES.keys() - STAYS, 1)) + Counter({"retry": 2})


class Run(NamedTuple):
    """What was told of all messages."""

    ids: Mapping[str, str]
    receiver: Receiver
    published: Mapping[str, list[Seen]]
    processed: Mapping[str, list[Seen]]
    consumers: Mapping[str, float]


@pytest.fixture(scope="module")
def run(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Send to all queues, before and while a worker runs that takes one message at a time."""
    folder = tmp_path_factory.mktemp("delayed")
    with receiving() as receiver:
        environ = services.environment(receiver) | {"OTEL_CELERY_QUEUES": KEPT}
        ids: dict[str, str] = json.loads(harness.run(environ, "send_delayed.py", "early"))
        how = ("-P", "prefork", "-c", "1")
        with harness.worker(folder, environ, *how, app="delayed_app") as worker:
            ids |= json.loads(harness.run(environ, "send_delayed.py", "late"))
            done = {"celery__task__state": "success"}
            outcomes = "celery.task.outcomes"
            eventually(
                lambda: harness.total(receiver, outcomes, **done) == len(QUEUES.keys() - STAYS)
            )
            here = {"messaging__destination__name": KEPT}
            eventually(lambda: harness.total(receiver, DEPTH, **here) == 1)
            consumers = "celery.queue.consumer.count"
            eventually(lambda: harness.total(receiver, consumers) == len(CONSUMED))
            found = {
                point.attributes["messaging.destination.name"]: point.value
                for point in harness.points(receiver, consumers)
            }
            assert worker.stop() == 0
        seen = harness.spans(receiver)
        names = {id_: what for what, id_ in ids.items()}
        published: dict[str, list[Seen]] = {}
        for one in seen:
            if one.span.kind == PRODUCER:
                published.setdefault(names[one.attributes["messaging.message.id"]], []).append(one)
        processed = {names[id_]: each for id_, each in harness.deliveries(seen).items()}
        yield Run(ids, receiver, published, processed, found)
    with (
        Celery(broker=services.broker, set_as_current=False).connection_for_write() as connection,
        connection.channel() as channel,
    ):
        for queue in ("delayed", "delayed-orders", "urgent", "news-here"):
            channel.queue_delete(queue)
        for level in range(28):
            channel.queue_delete(f"celery_delayed_{level}")


def test_the_queue_has_one_name_on_both_sides(run: Run) -> None:
    """That of the real queue, whatever way the message took."""
    sent = {
        what: {one.attributes["messaging.destination.name"] for one in each}
        for what, each in run.published.items()
    }
    assert sent == {what: {queue} for what, queue in QUEUES.items()}
    taken = {
        what: {one.attributes["messaging.destination.name"] for one in each}
        for what, each in run.processed.items()
    }
    assert taken == {what: queues for what, queues in sent.items() if what not in STAYS}


def test_each_delivery_has_a_span_under_its_publish(run: Run) -> None:
    """A message that went through the queues of a delay is one delivery."""
    assert {what: len(each) for what, each in run.processed.items()} == RUNS
    for what, each in run.processed.items():
        assert [one.parent for one in each] == [one.id for one in run.published[what]]
        assert not any("celery.task.redelivered" in one.attributes for one in each)


def test_a_delay_that_the_broker_keeps_is_not_waiting(run: Run) -> None:
    """Waiting begins when the message is due."""
    for what in ("countdown", "topic with countdown"):
        (sent,), (taken,) = run.published[what], run.processed[what]
        due = datetime.fromisoformat(taken.attributes["celery.task.eta"]).timestamp()
        began = taken.span.start_time_unix_nano / 1e9
        assert began >= due
        since = max(due, sent.span.start_time_unix_nano / 1e9)
        assert taken.attributes["celery.task.queue_wait"] == pytest.approx(began - since, abs=0.2)


def test_priorities_are_told_and_kept(run: Run) -> None:
    """The most urgent one runs first, and its publish span says why."""
    began = {what: run.processed[what][0].span.start_time_unix_nano for what in PRIORITIES}
    order = sorted(began, key=lambda what: began[what])
    assert order == ["priority 9", "priority 5", "priority 1"]
    for what, priority in PRIORITIES.items():
        (sent,) = run.published[what]
        assert sent.attributes["celery.task.priority"] == priority


PRIORITIES = {"priority 1": 1, "priority 5": 5, "priority 9": 9}


def test_the_ledger_misses_what_the_broker_keeps_or_drops(run: Run) -> None:
    """Sent = consumed + kept back + thrown away by the exchange, which AMQP tells nobody."""
    sent = harness.total(run.receiver, "messaging.client.sent.messages")
    consumed = harness.total(run.receiver, "messaging.client.consumed.messages")
    assert (sent, consumed) == (RUNS.total() + len(STAYS), RUNS.total())
    assert harness.points(run.receiver, "otel_celery.faults") == []
    assert harness.total(run.receiver, "celery.worker.task.count") == 0


def test_quorum_queues_are_read_and_consumed(run: Run) -> None:
    """Depth and consumers of each, and a limit of the prefetch that stays."""
    assert run.consumers == dict.fromkeys(CONSUMED, 1) | {KEPT: 0}
    (limit,) = harness.points(run.receiver, "celery.worker.prefetch.limit")
    assert limit.value == 1
