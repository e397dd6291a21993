"""What is told while the broker or the result backend is away?"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, CONTRIB, OURS, Side
from tests.receiver import Receiver
from tests.services import (
    Service,
    ServiceMissing,
    free_port,
    missing,
    rabbitmq_service,
    redis_service,
)
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.cable import cable
from tests.worker.harness import PRODUCER

SENT = "messaging.client.sent.messages"
CONSUMED = "messaging.client.consumed.messages"
OUTCOMES = "celery.task.outcomes"
DEPTH, PROBES = "celery.queue.depth", "celery.queue.probe.duration"
QUIET = ("--without-mingle", "--without-gossip")
PREFORK = (*QUIET, "-P", "prefork", "-c", "1")
WAITING = 3
"""Messages in a queue that nobody consumes."""


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a RabbitMQ that tests share."""
    try:
        with rabbitmq_service(tmp_path_factory.mktemp("rabbitmq")) as node:
            yield node
    except ServiceMissing as why:
        missing(str(why))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Service]:
    """Yield a Redis of this test's own, to be stopped."""
    try:
        with redis_service(tmp_path) as service:
            yield service
    except ServiceMissing as why:
        missing(str(why))


@contextlib.contextmanager
def publisher(environ: dict[str, str]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Run a program that publishes when it is told, and yield what tells it."""
    with subprocess.Popen(
        [sys.executable, str(sides.HERE / "publish_in_vain.py")],
        env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None

        def publish(**options: Any) -> dict[str, Any]:
            print(json.dumps(options), file=process.stdin, flush=True)
            said: dict[str, Any] = json.loads(process.stdout.readline())
            return said

        yield publish
        process.stdin.close()
        assert process.wait(60) == 0


def around_an_outage(service: Service, environ: dict[str, str]) -> list[dict[str, Any]]:
    """Publish before, during (without and with retries of Celery's own) and after."""
    with publisher(environ) as publish:
        said = [publish()]
        service.stop()
        said += [publish(retry=False), publish(), publish(expires=60)]
        service.start()
        said.append(publish())
    return said


def refused(service: Service, environ: dict[str, str]) -> list[dict[str, Any]]:
    """Publish to a queue with room for one message, and to an exchange that does not exist."""
    with Celery(broker=service.url, set_as_current=False).connection_for_write() as connection:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel = connection.default_channel
        channel.queue_declare("full", arguments=arguments, auto_delete=False)
        channel.exchange_declare("full", "direct")
        channel.queue_bind("full", "full", "full")
        with publisher(environ | {"WATCHED_TRANSPORT": '{"confirm_publish": true}'}) as publish:
            full = {"exchange": "full", "routing_key": "full"}
            said = [publish(**full), publish(**full, retry=False), publish(**full)]
            said += [publish(exchange="absent", routing_key="full"), publish()]
        assert channel.queue_declare("full", passive=True).message_count == 1
        channel.queue_delete("full")
    return said


Sending = Callable[[Service, dict[str, str]], list[dict[str, Any]]]


def told_of_publishing(
    send: Sending, service: Service, receiver: Receiver, note: Callable[..., None], side: Side
) -> None:
    """Judge what a side tells of five publishes, of which the middle three fail."""
    alone, watched = (
        send(service, sides.environment(one, service.url, receiver)) for one in (ALONE, side)
    )
    assert [bool(one["raised"]) for one in alone] == [False, True, True, True, False]
    same = sum(one["raised"] == other["raised"] for one, other in zip(alone, watched, strict=True))
    current = sum(one["current"] for one in watched)
    spans = [one for one in harness.spans(receiver) if one.span.kind == PRODUCER]
    failed = [one for one in spans if one.span.status.code == one.span.status.STATUS_CODE_ERROR]
    note("exceptions as Celery alone raises them", side, f"{same} of 5")
    note("publishes that leave the caller's span current", side, f"{current} of 5")
    note("failed publishes with a span of status ERROR", side, f"{len(failed)} of 3")
    if side == OURS:
        assert (same, current) == (5, 5)
        errors = [one.attributes.get("error.type") for one in spans]
        for error, one in zip(errors, watched, strict=True):
            assert (error is None) == (not one["raised"])
            assert error is None or any(f".{error}(" in cause for cause in one["raised"])
        assert [one.attributes["messaging.message.id"] for one in spans if one not in failed] == [
            one["sent"] for one in watched if one["sent"]
        ]
        counted: Counter[str | None] = Counter()
        for point in harness.points(receiver, SENT):
            counted[point.attributes.get("error.type")] += int(point.value)
        assert counted == Counter(errors)


@pytest.mark.parametrize("side", [OURS, pytest.param(CONTRIB, marks=pytest.mark.long)])
@pytest.mark.parametrize("broker", ["Redis", pytest.param("RabbitMQ", marks=pytest.mark.long)])
@pytest.mark.fault("broker-gone-at-publish")
def test_a_publish_that_fails_is_told_and_changes_nothing(
    request: pytest.FixtureRequest, receiver: Receiver, measured: Measured, broker: str, side: Side
) -> None:
    service = request.getfixturevalue("own_redis" if broker == "Redis" else "rabbitmq")

    def note(figure: str, *values: Any) -> None:
        measured(f"{broker}: {figure}", *values)

    told_of_publishing(around_an_outage, service, receiver, note, side)


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("publish-refused")
def test_a_message_that_is_refused_is_told_and_changes_nothing(
    rabbitmq: Service, receiver: Receiver, measured: Measured, side: Side
) -> None:
    told_of_publishing(refused, rabbitmq, receiver, measured, side)


class Reading(NamedTuple):
    """One point of a gauge as it came."""

    instance: str
    at: float
    value: float


def depths(receiver: Receiver) -> list[Reading]:
    """Return all that was told of how many messages wait in the queue that nobody consumes."""
    return [
        Reading(
            harness.plain(by_resource.resource.attributes)["service.instance.id"],
            point.time_unix_nano / 1e9,
            point.as_int or point.as_double,
        )
        for request in receiver.metrics
        for by_resource in request.resource_metrics
        for by_scope in by_resource.scope_metrics
        for metric in by_scope.metrics
        if metric.name == DEPTH
        for point in metric.gauge.data_points
        if harness.plain(point.attributes).get("messaging.destination.name") == "parked"
    ]


def failed_probes(receiver: Receiver) -> dict[str, int]:
    """Return how many probes failed, by error."""
    return {
        point.attributes["error.type"]: int(point.value)
        for point in harness.points(receiver, PROBES)
        if "error.type" in point.attributes
    }


def listed(counts: dict[str, int]) -> str:
    """Return counts in words."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def park(url: str) -> None:
    """Put messages into the queue that nobody consumes."""
    with Celery(broker=url, set_as_current=False) as client:
        for _ in range(WAITING):
            client.send_task("quick", queue="parked", ignore_result=True)


class Start(NamedTuple):
    """When a task was sent and when it began, in Unix seconds."""

    sent: float
    began: float


def starts(folder: Path, url: str, environ: dict[str, str], seconds: float) -> list[Start]:
    """Send a task ten times a second, and return when each of them began."""
    with (
        sides.worker(folder, environ, *PREFORK, app="broker_app") as worker,
        redis.Redis.from_url(environ["WATCHED_NOTES"]) as notes,
        Celery(broker=url, set_as_current=False) as client,
    ):
        sent, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            client.send_task("late", (time.time(),), ignore_result=True)
            sent += 1
            time.sleep(0.1)
        eventually(lambda: notes.llen("late") == sent)
        worker.stop()
        found = [Start(*map(float, one.split())) for one in notes.lrange("late", 0, -1)]
        notes.delete("late")
    return found


@pytest.mark.long
@pytest.mark.fault("queue-reader-gets-no-answer")
def test_a_reader_without_an_answer_does_not_hold_up_the_worker(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured
) -> None:
    """It asks again as soon as it may, so that it waits for a second of each one and a bit."""
    port = urlsplit(redis_url).port
    assert port is not None
    park(redis_url)
    found = {}
    with cable(port) as line:
        line.silences = b"LINDEX"  # asks for the head of a list: only the reader does that
        through = redis_url.replace(f":{port}", f":{line.port}")
        for side in (ALONE, OURS):
            environ = sides.environment(
                side, through, receiver, WATCHED_NOTES=redis_url.removesuffix("/0") + "/2",
                OTEL_CELERY_QUEUES="parked", OTEL_CELERY_QUEUE_INTERVAL="0.2",
            )  # fmt: skip
            found[side] = starts(tmp_path, redis_url, environ, 6)
            waited = median(one.began - one.sent for one in found[side])
            measured("time from send to start, median", side, f"{waited * 1000:.0f} ms")
        meanwhile = sum(
            any(0 < one.began - since < 0.9 for since in line.silent_since) for one in found[OURS]
        )
    probes, number = failed_probes(receiver), len(found[OURS])
    measured("tasks begun while the reader waited", OURS, f"{meanwhile} of {number}")
    measured("failed probes counted", OURS, listed(probes))
    measured("depths told", OURS, len(depths(receiver)))
    assert set(probes) == {"TimeoutError"}
    assert depths(receiver) == []
    assert meanwhile > number / 4, "none, if the loop waited with it"


@pytest.mark.long
@pytest.mark.fault("broker-gone-for-queue-reader")
def test_a_queue_that_cannot_be_read_has_no_depth(
    tmp_path: Path, own_redis: Service, receiver: Receiver, measured: Measured
) -> None:
    park(own_redis.url)
    environ = sides.environment(OURS, own_redis.url, receiver, OTEL_CELERY_QUEUES="parked")
    fresh = 1.25 + 1 + 0.5  # an interval with its slack, the timeout, an export

    def known_since(moment: float) -> list[Reading]:
        return [one for one in depths(receiver) if one.at > moment]

    with sides.worker(tmp_path, environ, *PREFORK) as worker:
        eventually(lambda: depths(receiver))
        with own_redis.frozen():
            frozen = time.time()
            eventually(lambda: failed_probes(receiver).get("TimeoutError", 0) >= 3)
            eventually(lambda: time.time() > frozen + fresh + 2)
            thawed = time.time()
        eventually(lambda: known_since(thawed + fresh))
        own_redis.stop()
        ended = time.time()
        connected = "celery.worker.broker.connected"
        eventually(lambda: failed_probes(receiver).get("ConnectionError", 0) >= 2)
        eventually(lambda: harness.total(receiver, connected) == 0)
        eventually(lambda: time.time() > ended + fresh + 2)
        own_redis.start()
        back = time.time()
        park(own_redis.url)
        eventually(lambda: [one for one in known_since(back) if one.value == WAITING])
        eventually(lambda: harness.total(receiver, connected) == 1)
        worker.stop()
    away = ((frozen + fresh, thawed), (ended + fresh, back))
    stale = [one for one in depths(receiver) for since, to in away if since < one.at < to]
    wrong = [one for one in depths(receiver) if one.value != WAITING and one.at < back]
    measured("depths told while the broker could not be read", OURS, len(stale))
    measured("depths told that were wrong", OURS, len(wrong))
    measured("failed probes counted", OURS, listed(failed_probes(receiver)))
    assert (stale, wrong) == ([], [])


@pytest.mark.long
@pytest.mark.parametrize(
    "gossip",
    [
        pytest.param(False, marks=pytest.mark.fault("two-queue-readers"), id="each-reads"),
        pytest.param(True, marks=pytest.mark.fault("queue-reader-killed"), id="one-reads-for-all"),
    ],
)
def test_a_queue_is_read_although_a_reader_was_killed(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, gossip: bool
) -> None:
    park(redis_url)
    environ = sides.environment(OURS, redis_url, receiver, OTEL_CELERY_QUEUES="parked")
    how = ("-P", "solo") if gossip else (*QUIET, "-P", "solo")

    def readers(since: float) -> set[str]:
        return {one.instance for one in depths(receiver) if one.at > since}

    with (
        sides.worker(tmp_path, environ, *how, "-n", "first@test") as first,
        sides.worker(tmp_path, environ, *how, "-n", "second@test") as second,
    ):
        both = {"first@test", "second@test"}
        begun = time.time()
        if gossip:  # until they know each other
            eventually(
                lambda: time.time() > begun + 8 and readers(time.time() - 4) == {"first@test"}
            )
        else:
            eventually(lambda: readers(begun) == both)
        first.process.kill()
        first.process.wait(10)
        killed = time.time()
        eventually(lambda: readers(killed + 1) == {"second@test"}, 120)
        taken_over = min(one.at for one in depths(receiver) if one.at > killed + 1) - killed
        park(redis_url)
        grown = 2 * WAITING
        eventually(lambda: max(one.value for one in depths(receiver) if one.at > killed) == grown)
        second.stop()
    before = {one.value for one in depths(receiver) if one.at < killed}
    measured("max by queue before the kill", OURS, ", ".join(f"{one:g}" for one in before))
    measured("seconds from the kill to the survivor's next reading", OURS, f"{taken_over:.0f}")
    assert before == {WAITING}
    assert {one.value for one in depths(receiver)} == {WAITING, grown}


class Ran(NamedTuple):
    """What a worker did, in its tasks' words and in those of its log."""

    attempts: list[str]
    log: list[str]


LOGGED = re.compile(r"Task noted\[.*\] \w+|Exception raised outside body: .*|Pool callback .*")


def with_a_dead_backend(side: Side, folder: Path, url: str, receiver: Receiver) -> Ran:
    """Run tasks that end in three ways, with results that nobody takes."""
    notes_url = url.removesuffix("/0") + "/2"
    environ = sides.environment(
        side, url, receiver, WATCHED_NOTES=notes_url, WATCHED_RESULTS="yes",
        CASES_BACKEND=f"redis://127.0.0.1:{free_port()}/0",
    )  # fmt: skip
    with (
        redis.Redis.from_url(notes_url) as notes,
        Celery(broker=url, set_as_current=False) as client,
        sides.worker(folder, environ, *PREFORK, app="broker_app") as worker,
    ):
        for how in ENDS:
            client.send_task("noted", (how,), task_id=how, ignore_result=False)
        eventually(lambda: worker.log.count("Pool callback raised exception") == ATTEMPTS)
        sides.drained(url)
        worker.stop()
        attempts = sorted(one.decode() for one in notes.lrange("noted", 0, -1))
        notes.delete("noted")
        return Ran(attempts, sorted(LOGGED.findall(worker.log)))


ENDS, ATTEMPTS = ("succeeds", "fails", "retries"), 4


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("result-backend-down")
def test_a_dead_result_backend_is_celerys_affair(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    """Celery then takes the backend's error for the task's, and so do we."""
    alone, watched = (
        with_a_dead_backend(one, tmp_path, redis_url, receiver) for one in (ALONE, side)
    )
    found = harness.deliveries(harness.spans(receiver))
    spans = [one for each in found.values() for one in each]
    measured(
        "attempts and lines of the log as with Celery alone",
        side,
        "yes" if alone == watched else "no",
    )
    measured("process spans", side, f"{len(spans)} of {ATTEMPTS}")
    if side == OURS:
        assert watched == alone
        assert {name: len(each) for name, each in found.items()} == dict.fromkeys(ENDS, 1) | {
            "retries": 2
        }
        assert {one.attributes["error.type"] for one in spans} == {"ConnectionError"}
        failed = {"celery__task__state": "failure", "error__type": "ConnectionError"}
        outcomes = harness.total(receiver, OUTCOMES, **failed)
        measured("outcomes (failure, ConnectionError)", side, f"{outcomes:g} of {ATTEMPTS}")
        assert outcomes == harness.total(receiver, OUTCOMES) == ATTEMPTS


TASKS = 60


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("rabbitmq-restarts")
def test_a_restart_of_rabbitmq_loses_and_doubles_nothing(
    tmp_path: Path, rabbitmq: Service, receiver: Receiver, measured: Measured, side: Side
) -> None:
    """What the worker held comes again, marked so."""
    environ = sides.environment(side, rabbitmq.url, receiver)

    def begun() -> int:
        return worker.log.count(" received")

    def ended() -> set[str]:
        return set(re.findall(r"Task sleeps\[(.*)\] succeeded", worker.log))

    with sides.worker(tmp_path, environ, *QUIET, "-P", "prefork", "-c", "2") as worker:
        sent = sides.send(environ, "sleeps", TASKS, 0.2)
        eventually(lambda: begun() > TASKS // 4)
        rabbitmq.stop()
        rabbitmq.start()
        sent += sides.send(environ, "sleeps", 1, 0.0)
        eventually(lambda: ended() == set(sent), 120)
        worker.stop()
    found = harness.deliveries(harness.spans(receiver))
    runs = len(re.findall("succeeded in", worker.log))
    told = sum(map(len, found.values()))
    measured("messages with a process span", side, f"{len(found)} of {len(sent)}")
    measured("process spans by times that a task ran", side, f"{told} by {runs}")
    if side == OURS:
        again = harness.total(receiver, CONSUMED, celery__task__redelivered=True)
        consumed = harness.total(receiver, CONSUMED)
        reconnected = harness.total(receiver, "celery.worker.broker.reconnections")
        measured(
            "sent, consumed, of those delivered again",
            side,
            f"{harness.total(receiver, SENT):g}, {consumed:g}, {again:g}",
        )
        measured("reconnections", side, f"{reconnected:g}")
        assert set(found) == set(sent)
        assert told == runs
        assert harness.total(receiver, SENT) == len(sent) == consumed - again
        assert harness.total(receiver, OUTCOMES) == consumed
        assert reconnected == 1
