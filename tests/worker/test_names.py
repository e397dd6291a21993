"""Do our spans and histogram under contrib's names say what contrib's own say?

The same tasks, under the same ids, through contrib and through us. What differs is listed here, and
in docs/migrate/contrib.md.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.receiver import Receiver, receiving
from tests.worker import harness
from tests.worker.harness import PRODUCER, Seen

ARGUMENTS = ("-c", "1", "--without-mingle", "--without-gossip", "-Q", "celery,letters,orders")
RUNTIME, DURATION = "flower.task.runtime.seconds", "messaging.process.duration"
RANDOM = re.compile(r"gen\d+@|[0-9a-f]{8}-[0-9a-f-]{27}")  # the sending process, and its mailbox

# Of one span each, by its task id and action; all other keys and values of contrib's are ours.
DIFFERENT: Mapping[tuple[str, str], Mapping[str, Any]] = {
    # Only the queue is known of a publish.
    ("topic", "apply_async"): {
        "messaging.destination": "orders",
        "messaging.destination_kind": "queue",
        "celery.exchange": None,
    },
    # Of a retry only the cause is known: it says "Retry in 0s: ValueError('later')" there.
    ("retried", "run"): {"celery.retry.reason": "ValueError: later"},
}
OUR_ERRORS = {"failed"}
THEIR_ERRORS = {"failed", "expected"}  # 0.66b2 means to leave out what `throws` lists, and fails to
RENAMED = {
    "celery.task.name", "celery.task.state", "celery.task.retries", "celery.task.eta",
    "celery.task.expires", "celery.worker.name", "messaging.operation.name",
    "messaging.destination.name",
}  # fmt: skip


class Told(NamedTuple):
    """What one side told of the tasks of names_app.py."""

    spans: list[Seen]
    runtimes: Mapping[str, float]  # how many by task; of the worker, and so of messages
    durations: float


def told(folder: Path, side: str, pool: str, names: str = "semconv") -> Told:
    """Run all tasks, watched by one side."""
    with harness.broker(folder) as url, receiving() as receiver:
        environ = harness.environment(url, receiver, NAMED_BY=side, OTEL_CELERY_NAMES=names)
        with harness.worker(folder, environ, *ARGUMENTS, "-P", pool, app="names_app") as worker:
            harness.run(environ, "names_app.py")
            assert worker.stop() == 0
        return Told(
            sorted(harness.spans(receiver), key=lambda one: one.span.start_time_unix_nano),
            runtimes(receiver),
            harness.total(receiver, DURATION),
        )


def runtimes(receiver: Receiver) -> Mapping[str, float]:
    points = [p for p in harness.points(receiver, RUNTIME) if "@" in p.attributes["worker"]]
    assert {frozenset(point.attributes) for point in points} == {frozenset({"task", "worker"})}
    assert {point.attributes["worker"] for point in points} == {harness.NODE}
    return {point.attributes["task"]: point.value for point in points}


def by_task(seen: list[Seen]) -> dict[tuple[str, str], list[Seen]]:
    """Return spans of messages by task id and action, in the order in which they began."""
    found = defaultdict(list)
    for one in seen:
        if one.attributes.get("messaging.message.id", "eager") != "eager":
            action = "apply_async" if one.span.kind == PRODUCER else "run"
            found[one.attributes["messaging.message.id"], action].append(one)
    return found


def comparable(one: Seen, keys: frozenset[str]) -> dict[str, str]:
    """Return the values of these keys as text, without what is another in each run."""
    return {
        key: RANDOM.sub("*", str(value)) for key, value in one.attributes.items() if key in keys
    }


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return what contrib itself tells."""
    return told(tmp_path_factory.mktemp("contrib"), "contrib", "solo")


@pytest.fixture(scope="module")
def instead(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return what we tell under contrib's names."""
    return told(tmp_path_factory.mktemp("ours"), "ours", "solo", "contrib")


def assert_same_messages(theirs: Told, ours: Told) -> None:
    """Hold kinds, keys and values of contrib's against ours, but for what is listed above."""
    expected, found = by_task(theirs.spans), by_task(ours.spans)
    assert {key: len(each) for key, each in found.items()} == {
        key: len(each) for key, each in expected.items()
    }
    for key, each in expected.items():
        for number, (their, our) in enumerate(zip(each, found[key], strict=True)):
            keys = frozenset(their.attributes)
            wanted: dict[str, Any] = comparable(their, keys)
            if number == 0:  # of a retried task, the attempt that asked for another
                wanted.update(DIFFERENT.get(key, {}))
            wanted = {name: value for name, value in wanted.items() if value is not None}
            assert comparable(our, keys) == wanted, key
            assert our.span.kind == their.span.kind, key
    assert ours.runtimes == theirs.runtimes
    assert errors(theirs.spans) == THEIR_ERRORS
    assert errors(ours.spans) == OUR_ERRORS


def test_under_contribs_names_spans_and_histogram_say_what_contribs_say(
    theirs: Told, instead: Told
) -> None:
    assert_same_messages(theirs, instead)
    assert Counter(one.span.name for one in instead.spans) == Counter(
        one.span.name for one in theirs.spans
    )
    assert [one.span.name for one in instead.spans if RENAMED & set(one.attributes)] == []
    assert failed(instead) == failed(theirs)
    assert instead.durations == 0


def test_doubled_names_say_it_beside_ours(tmp_path: Path, theirs: Told) -> None:
    """Names of spans are ours; the pool is another, to show that it makes no difference."""
    both = told(tmp_path, "ours", "prefork", "dup")
    assert_same_messages(theirs, both)
    for one in both.spans:
        kind = "publish" if one.span.kind == PRODUCER else "process"
        assert one.span.name == f"{kind} {one.attributes['celery.task_name']}"
        assert one.attributes["celery.task.name"] == one.attributes["celery.task_name"]
    assert both.durations == sum(theirs.runtimes.values())


def test_a_task_in_its_caller_is_a_run_with_less_to_say(theirs: Told, instead: Told) -> None:
    """No id and no host is known of it, and no point: it was no delivery."""
    (their,) = [one for one in theirs.spans if one.attributes["messaging.message.id"] == "eager"]
    (our,) = [one for one in instead.spans if "messaging.message.id" not in one.attributes]
    assert (our.span.name, our.span.kind) == (their.span.name, their.span.kind)
    lacking = {"messaging.message.id", "celery.hostname", "celery.delivery_info"}
    assert {key: value for key, value in our.attributes.items() if key != "celery.task.eager"} == {
        key: value for key, value in their.attributes.items() if key not in lacking
    }


def errors(seen: list[Seen]) -> set[str]:
    return {one.attributes["messaging.message.id"] for one in seen if one.span.status.code}


def failed(side: Told) -> tuple[str, list[dict[str, Any]]]:
    """Return status and event of the failure, without its traceback."""
    (run,) = by_task(side.spans)["failed", "run"]
    events = [harness.plain(event.attributes) for event in run.span.events]
    for event in events:
        assert "no money" in event.pop("exception.stacktrace")
    return run.span.status.message, events
