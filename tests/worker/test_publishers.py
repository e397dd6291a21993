"""A program that publishes tells all of it, exactly once, and is not disturbed by it."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from typing import Any

import pytest

from tests.receiver import Answer, Receiver
from tests.services import free_port
from tests.worker import harness
from tests.worker.harness import PRODUCER, Seen

SENT = "messaging.client.sent.messages"
BUDGET = 1.0  # seconds for the last export, here
CHILDREN = 3  # of the programs that fork


def run(url: str, receiver: Receiver, program: str, **variables: str) -> Any:
    """Run a program to its end and return what it printed."""
    environ = harness.environment(url, receiver, **variables)
    return json.loads(harness.run(environ, "publisher.py", program))


def sums(receiver: Receiver) -> dict[str, float]:
    """Return how many messages each process counted, over all series."""
    found: Counter[str] = Counter()
    for point in harness.points(receiver, SENT):
        found[point.instance] += int(point.value)
    return dict(found)


def ids(seen: list[Seen]) -> list[str]:
    """Return the ids of the messages whose publish spans these are."""
    assert {one.span.kind for one in seen} <= {PRODUCER}
    return [one.attributes["messaging.message.id"] for one in seen]


def test_a_script_tells_all_at_its_end(redis_url: str, receiver: Receiver) -> None:
    """It calls nothing but `instrument`; the process has an identity that nobody else has."""
    sent = run(redis_url, receiver, "plain")
    seen = harness.spans(receiver)
    assert sorted(ids(seen)) == sorted(sent)
    (instance,) = {one.resource["service.instance.id"] for one in seen}
    assert sums(receiver) == {instance: 3}
    assert str(uuid.UUID(instance)) == instance
    assert {one.resource["service.name"] for one in seen} == {"shop"}
    (first, *_) = seen
    assert first.parent == ""
    assert first.span.name == "publish shop.pack"
    assert {
        key: value for key, value in first.attributes.items()
        if key not in ("messaging.message.id", "server.port", "celery.task.root_id")
    } == {
        "messaging.system": "redis",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "celery",
        "server.address": "127.0.0.1",
        "celery.task.name": "shop.pack",
    }  # fmt: skip


@pytest.mark.parametrize("program", ["two_apps", "twice", "after_the_first_publish"])
def test_each_message_has_one_span_however_it_was_switched_on(
    redis_url: str, receiver: Receiver, program: str
) -> None:
    """All apps of a process are covered, also those with tasks and senders made before or after."""
    sent = run(redis_url, receiver, program)
    assert sorted(ids(harness.spans(receiver))) == sorted(sent)
    assert list(sums(receiver).values()) == [len(sent)]


def test_switching_off_leaves_celery_as_it_was(redis_url: str, receiver: Receiver) -> None:
    """Classes have the attributes that they had, messages none of our headers."""
    found = run(redis_url.removesuffix("/0") + "/2", receiver, "switched_off")
    assert found.pop("wrapped") > 0
    assert ids(harness.spans(receiver)) == found.pop("sent")
    assert found == {
        "ours": ["otel-celery-sent", "traceparent"],
        "names": [],
        "changed": [],
        "headers": [],
    }


@pytest.mark.parametrize(
    ("program", "of_parent"),
    [
        pytest.param("forked", 2, id="fork"),
        pytest.param("with_multiprocessing", 2, id="multiprocessing"),
        pytest.param("with_billiard", 2, id="billiard"),
        pytest.param("preloaded", 1, id="preloading-server"),
    ],
)
def test_what_parent_and_children_publish_is_told_once_by_each(
    redis_url: str, receiver: Receiver, program: str, of_parent: int
) -> None:
    """A child inherits what its parent had not told yet, and must not tell it again."""
    run(redis_url, receiver, program)
    seen = harness.spans(receiver)
    by_process = Counter(one.resource["service.instance.id"] for one in seen)
    assert sorted(by_process.values()) == sorted([of_parent, *[1] * CHILDREN])
    assert len(set(ids(seen))) == len(seen)
    assert sums(receiver) == by_process


def test_children_of_a_parent_with_a_provider_of_its_own_tell_once_as_well(
    redis_url: str, receiver: Receiver
) -> None:
    """The SDK renews its own part after a fork, we renew ours."""
    sent = run(redis_url, receiver, "own_provider_forked")
    published = ids(harness.spans(receiver))
    assert set(published) >= set(sent)
    assert len(published) == len(set(published)) == len(sent) + CHILDREN
    assert sorted(sums(receiver).values()) == [1] * CHILDREN + [len(sent)]


def test_a_publish_that_fails_is_told_and_raises_what_celery_raises(
    redis_url: str, receiver: Receiver
) -> None:
    """An ERROR span and a counted message with the error's type; the caller sees no difference."""
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    bare = run(nobody, receiver, "broken")
    observed = run(nobody, receiver, "broken_observed")
    assert bare["raised"] is not None
    assert observed == bare
    assert observed["same_span"]
    (failed,) = harness.spans(receiver)
    assert failed.span.status.code == failed.span.status.STATUS_CODE_ERROR
    assert failed.attributes["error.type"] == "OperationalError"
    assert (failed.trace, failed.parent) == (f"{1:032x}", f"{2:016x}")
    (point,) = harness.points(receiver, SENT)
    assert (point.attributes["error.type"], point.value) == ("OperationalError", 1)


def elapsed(url: str, receiver: Receiver, program: str, **variables: str) -> float:
    """Return how many seconds a program takes."""
    began = time.monotonic()
    run(url, receiver, program, **variables)
    return time.monotonic() - began


@pytest.mark.parametrize(
    "silent", [pytest.param(False, id="dead"), pytest.param(True, id="silent")]
)
def test_without_a_collector_a_script_ends_within_its_budget(
    redis_url: str, receiver: Receiver, silent: bool
) -> None:
    """It publishes as ever; the one last attempt ends when the budget does."""
    variables = {"OTEL_CELERY_FLUSH_TIMEOUT": str(BUDGET)}
    if silent:
        receiver.answers.extend([Answer(stall=True)] * 100)
    else:
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    bare = elapsed(redis_url, receiver, "bare")
    observed = elapsed(redis_url, receiver, "plain", **variables)
    start = 3.0  # seconds to import the SDK, on a busy machine; the exporter's timeout is 10
    assert observed < bare + start + BUDGET
    assert bool(receiver.received) is silent


def test_an_applications_own_provider_takes_the_publish_spans(
    redis_url: str, receiver: Receiver
) -> None:
    """They hang under the caller's span and carry the application's resource."""
    sent = run(redis_url, receiver, "own_provider")
    seen = {one.span.name: one for one in harness.spans(receiver)}
    assert set(seen) == {"checkout", "publish shop.pack"}
    published = seen["publish shop.pack"]
    assert published.parent == seen["checkout"].id
    assert published.attributes["messaging.message.id"] == sent[0]
    assert {one.resource["service.name"] for one in seen.values()} == {"of-the-app"}
    assert list(sums(receiver).values()) == [1]


def test_a_provider_that_comes_late_loses_nothing(redis_url: str, receiver: Receiver) -> None:
    """Every message is told, by one way or the other."""
    sent = run(redis_url, receiver, "provider_after_the_first_publish")
    assert sorted(ids(harness.spans(receiver))) == sorted(sent)
    assert list(sums(receiver).values()) == [2]
