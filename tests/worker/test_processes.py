"""However its processes came to be, a worker tells each delivery once, under one name."""

from __future__ import annotations

import json
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from celery import Celery

from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.background import background
from tests.worker.expected import CASES
from tests.worker.harness import CONSUMER, PRODUCER
from tests.worker.test_matrix import all_ended, words

OUTCOMES, CONSUMED = "celery.task.outcomes", "messaging.client.consumed.messages"
ALONE = ("--without-mingle", "--without-gossip")  # nobody to wait for
PREFORK = (*ALONE, "-P", "prefork", "-c", "2")


def told(receiver: Receiver) -> Counter[str]:
    """Return how often each task was processed, once spans and the ledger agree.

    A message that a stop found waiting goes back, and was never this worker's: it has no span.
    """
    found = Counter(
        one.attributes["celery.task.name"]
        for one in harness.spans(receiver)
        if one.span.kind == CONSUMER
    )
    returned = harness.total(receiver, OUTCOMES, celery__task__state="returned")
    assert harness.total(receiver, OUTCOMES) == found.total() + returned
    assert harness.total(receiver, CONSUMED) == found.total() + returned
    assert harness.points(receiver, "otel_celery.faults") == []
    return found


def instances(receiver: Receiver) -> set[str]:
    """Return who consumed."""
    return {point.instance for point in harness.points(receiver, CONSUMED)}


@pytest.mark.parametrize("how", ["multi", "detach"])
def test_a_worker_in_the_background_is_like_any_other(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery, how: str
) -> None:
    """What started it has ended; when it is gone, or `stopwait` has ended, it has told all."""
    with background(tmp_path, environ, how, *PREFORK, app="processes_app"):
        assert client.send_task("shop_of_cases.add", (1, 2)).get(timeout=60) == 3
    assert told(receiver)["shop_of_cases.add"] == 1
    assert instances(receiver) == {harness.NODE}


def test_a_pool_that_grows_and_shrinks_tells_all(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """Processes that autoscaling adds have a way to main; their number is reported."""
    with harness.worker(tmp_path, environ, *ALONE, "--autoscale=3,1") as worker:
        limit = "celery.worker.pool.limit"
        eventually(lambda: harness.total(receiver, limit) == 1)
        sent = [client.send_task("shop_of_cases.slow", (2,)) for _ in range(3)]
        eventually(lambda: harness.total(receiver, limit) == 3)
        for one in sent:
            one.get(timeout=60)
        assert worker.stop() == 0
    assert told(receiver) == {"shop_of_cases.slow": 3}
    pids = {one.attributes.get("process.pid") for one in harness.spans(receiver)}
    assert len(pids) > 1


def test_two_workers_of_one_name_are_told_apart(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """The second reports under a name with its pid, and says so."""
    with (
        harness.worker(tmp_path, environ, *PREFORK) as first,
        harness.worker(tmp_path, environ, *PREFORK) as second,
    ):
        sent = [client.send_task("shop_of_cases.slow", (0.2,)) for _ in range(8)]
        for one in sent:
            one.get(timeout=60)
        assert (first.stop(), second.stop()) == (0, 0)
    assert told(receiver) == {"shop_of_cases.slow": 8}
    other = f"{harness.NODE}/{second.process.pid}"
    assert instances(receiver) <= {harness.NODE, other}
    assert {
        point.instance for point in harness.points(receiver, "celery.worker.cpu.time")
    } == {harness.NODE, other}  # fmt: skip
    assert f"a worker named {harness.NODE} runs on this host already" not in first.log
    assert f"this one reports as {other}" in second.log


def test_a_pool_class_of_the_users_is_seen_for_what_it_is(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """One derived from prefork has processes, whatever its module is called."""
    custom = {**environ, "CELERY_CUSTOM_WORKER_POOL": "own_pool:OwnPool"}
    with harness.worker(tmp_path, custom, *ALONE, "-P", "custom", "-c", "2") as worker:
        client.send_task("shop_of_cases.success").get(timeout=60)
        assert worker.stop() == 0
    assert told(receiver) == {"shop_of_cases.success": 1}
    seen = harness.spans(receiver)
    (process,) = (one for one in seen if one.span.kind == CONSUMER)
    assert process.attributes["celery.worker.pool.type"] == "prefork"
    assert process.attributes["cart.items"] == 3
    assert [one.span.name for one in seen if one.parent == process.id] == ["inner"]


def test_what_handlers_of_pool_processes_publish_is_told_once(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """The user's handler of `worker_process_init` runs after ours, before any task."""
    with harness.worker(tmp_path, environ, *PREFORK, app="processes_app") as worker:
        by_handler = client.send_task("processes.initialised").get(timeout=60)
        client.AsyncResult(by_handler).get(timeout=60)
        assert worker.stop() == 0
    assert told(receiver)["processes.initialised"] == 1
    published = Counter(
        one.attributes["messaging.message.id"]
        for one in harness.spans(receiver)
        if one.span.kind == PRODUCER
    )
    assert published[by_handler] == 1
    assert published.total() == harness.total(receiver, "messaging.client.sent.messages")


def test_a_task_that_is_registered_late_is_told_like_any_other(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """The worker was ready without it; Celery then builds anew what runs each task."""
    with harness.worker(tmp_path, environ, *ALONE, "-P", "threads", app="processes_app") as worker:
        assert client.send_task("processes.late").get(timeout=60) == "late"
        assert worker.stop() == 0
    assert told(receiver) == {"processes.late": 1}
    (late, inner) = harness.spans(receiver)[::-1]
    assert (inner.span.name, inner.parent, inner.trace) == ("inner", late.id, late.trace)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_processes_that_tasks_start_tell_nothing_twice(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery, pool: str
) -> None:
    """A fork, a child that publishes, a program: each span and message once."""
    with harness.worker(
        tmp_path, environ, *ALONE, "-P", pool, "-c", "1", app="processes_app"
    ) as worker:
        client.send_task("processes.forks").get(timeout=60)
        eventually(lambda: told(receiver)["shop_of_cases.success"] >= 1)
        assert worker.stop() == 0
    seen = harness.spans(receiver)
    assert len({one.id for one in seen}) == len(seen)
    (outer,) = (one for one in seen if one.span.name == "process processes.forks")
    (inner,) = (one for one in seen if one.parent == outer.id)
    (published,) = (one for one in seen if one.parent == inner.id)
    assert published.span.kind == PRODUCER
    assert published.resource["service.instance.id"] != harness.NODE
    sent = harness.points(receiver, "messaging.client.sent.messages")
    own = published.resource["service.instance.id"]
    assert sum(point.value for point in sent if point.instance == own) == 1


@pytest.mark.parametrize("pool", ["eventlet"])
def test_the_main_ways_to_end_are_told_alike_in_this_pool_too(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, pool: str
) -> None:
    """As in the pools of the full matrix."""
    pytest.importorskip(pool)
    chosen = (
        "success", "failure", "retry", "ignore", "reject", "requeue", "revoked_waiting", "expired",
        "unknown", "nested", "chain",
    )  # fmt: skip
    with harness.worker(tmp_path, environ, *ALONE, "-P", pool, "-c", "3") as worker:
        sent = json.loads(harness.run(environ, "drive.py", *chosen))
        eventually(partial(all_ended, sent, receiver))
        assert worker.stop() == 0
    found = harness.deliveries(harness.spans(receiver))
    states = {
        case: tuple(words(one) for task_id in ids for one in found[task_id])
        for case, ids in sent.items()
    }
    assert states == {case: CASES[case][0] for case in chosen}
    (process,) = found[sent["success"][0]]
    assert process.attributes["celery.worker.pool.type"] == pool
    assert process.attributes["cart.items"] == 3


def test_a_greenlet_that_is_terminated_was_revoked(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """It had begun; the pool kills it without a word."""
    pytest.importorskip("gevent")
    with harness.worker(tmp_path, environ, *ALONE, "-P", "gevent", "-c", "2") as worker:
        slow = client.send_task("shop_of_cases.slow", (30,))
        eventually(lambda: client.backend.client.exists(f"mark:started:{slow.id}"))
        client.control.revoke(slow.id, terminate=True)
        eventually(lambda: told(receiver) == {"shop_of_cases.slow": 1})
        assert worker.stop() == 0
    (process,) = harness.deliveries(harness.spans(receiver))[slow.id]
    assert words(process)[:2] == ("revoked", "Terminated")


def test_a_main_that_was_killed_does_not_stand_in_the_way(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """The next worker of its name gets that name, and all works."""
    with harness.worker(tmp_path, environ, *PREFORK) as killed:
        client.send_task("shop_of_cases.add", (1, 2)).get(timeout=60)
        killed.stop(signal.SIGKILL)
    with harness.worker(tmp_path, environ, *PREFORK) as worker:
        assert client.send_task("shop_of_cases.add", (3, 4)).get(timeout=60) == 7
        assert worker.stop() == 0
    assert instances(receiver) == {harness.NODE}
    assert "runs on this host already" not in worker.log
