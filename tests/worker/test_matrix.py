"""Every way in which a delivery can end, in every pool: one process span, the right words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.receiver import Receiver, receiving
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.conftest import Services
from tests.worker.expected import CASES, FURTHER, LATE, Word, pools_of
from tests.worker.harness import CONSUMER, INTERNAL, PRODUCER, Seen

POOLS: dict[str, tuple[str, ...]] = {
    "prefork": ("-P", "prefork", "-c", "3"),
    "prefork-recycling": ("-P", "prefork", "-c", "3", "--max-tasks-per-child", "1"),
    "spawn": ("-P", "prefork", "-c", "2"),
    "solo": ("-P", "solo"),
    "threads": ("-P", "threads", "-c", "3"),
    "gevent": ("-P", "gevent", "-c", "3"),
}
RABBITMQ = "rabbitmq-"
TRIED = (*POOLS, *(RABBITMQ + pool for pool in POOLS))
DROPPED = ("expired",)
"""RabbitMQ drops it itself, if the worker is not quick enough: another test's case."""
HELD = 3  # messages that the worker holds for later when it stops


class Run(NamedTuple):
    """What one worker told of all cases."""

    pool: str
    sent: Mapping[str, Sequence[str]]
    receiver: Receiver
    seen: Sequence[Seen]
    stopped: int
    log: str
    keys: frozenset[str]

    def of(self, case: str) -> list[Seen]:
        """Return the process spans of the messages that the driver sent for a case."""
        found = harness.deliveries(self.seen)
        return [one for task_id in self.sent[case] for one in found[task_id]]


def words(span: Seen) -> Word:
    """Return what a process span says of its delivery."""
    told = span.attributes
    return Word(
        told["celery.task.state"],
        told.get("error.type"),
        span.span.status.code == span.span.status.STATUS_CODE_ERROR,
        told.get("celery.task.expected", False),
    )


def has(pool: str, case: str) -> bool:
    """Tell whether a case is tried in a pool."""
    if pool.startswith(RABBITMQ):
        return case not in DROPPED and has(pool.removeprefix(RABBITMQ), case)
    return pool in pools_of(case)


def cases(pool: str) -> list[str]:
    return [case for case in CASES if has(pool, case)]


def messages(chosen: Iterable[str]) -> int:
    """Return how many deliveries these cases come to."""
    return sum(len(CASES[case][0]) + FURTHER.get(case, 0) for case in chosen)


def all_ended(sent: Mapping[str, Sequence[str]], receiver: Receiver) -> None:
    """See that as many outcomes were counted as these cases have deliveries."""
    found = harness.deliveries(harness.spans(receiver))
    told = {
        case: tuple(words(span) for task_id in ids for span in found[task_id])
        for case, ids in sent.items()
    }
    unlike = {case: words for case, words in told.items() if words != spoken(case)}
    assert harness.total(receiver, "celery.task.outcomes") == messages(sent), unlike


def spoken(case: str) -> tuple[Word, ...]:
    """Return what process spans say of a case: nothing where it is not sampled."""
    return () if case == "unsampled" else CASES[case][0]


def marks(pool: str) -> Sequence[pytest.MarkDecorator]:
    return [pytest.mark.long] if pool.startswith(RABBITMQ) else []


def run_all(pool: str, url: str, variables: Mapping[str, str], folder: Path) -> Run:
    """Run all cases in one worker of a pool, then stop it while it holds messages for later."""
    with receiving() as receiver:
        if pool.endswith("spawn"):
            variables = {**variables, "CASES_SPAWN": "1"}
        environ = harness.environment(url, receiver, **variables)
        with harness.worker(folder, environ, *POOLS[pool.removeprefix(RABBITMQ)]) as worker:
            sent: dict[str, list[str]] = {}
            for round_ in (set(cases(pool)) - set(LATE), set(cases(pool)) & set(LATE)):
                chosen = [case for case in CASES if case in round_]
                sent |= json.loads(harness.run(environ, "drive.py", *chosen))
                eventually(partial(all_ended, sent, receiver))
            held = harness.run(environ, "hold.py", str(HELD)).split()

            def all_held() -> None:
                state = {"celery__worker__task__state": "scheduled"}
                assert harness.total(receiver, "celery.worker.task.count", **state) == HELD

            eventually(all_held)
            stopped = worker.stop()
            return Run(
                pool, {**sent, "held": held}, receiver, harness.spans(receiver), stopped,
                worker.log, harness.keys(variables.get("CASES_BACKEND", url)),
            )  # fmt: skip


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    """What has been run so far: one worker a pool, however the tests are ordered."""
    return {}


@pytest.fixture(params=[pytest.param(pool, marks=marks(pool)) for pool in TRIED])
def pool_run(
    request: pytest.FixtureRequest, runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Return what the worker of a pool told."""
    pool: str = request.param
    if pool not in runs:
        folder = tmp_path_factory.mktemp(pool)
        if pool.startswith(RABBITMQ):
            request.getfixturevalue("rabbit_client")  # leaves the queues as they were
            services: Services = request.getfixturevalue("services")
            backend = {"CASES_BACKEND": services.backend}
            runs[pool] = run_all(pool, services.broker, backend, folder)
        else:
            with harness.broker(folder) as url:
                runs[pool] = run_all(pool, url, {}, folder)
    return runs[pool]


def each(*chosen: str) -> pytest.MarkDecorator:
    """Try these cases in every pool that has them."""
    pairs = [
        pytest.param(pool, case, id=f"{pool}-{case}", marks=marks(pool))
        for pool in TRIED for case in chosen if has(pool, case)
    ]  # fmt: skip
    return pytest.mark.parametrize(("pool_run", "case"), pairs, indirect=["pool_run"])


@each(*CASES)
def test_each_delivery_has_one_process_span_with_the_right_words(pool_run: Run, case: str) -> None:
    """State, error type and status are those of the contract, in the order of the deliveries."""
    assert tuple(words(span) for span in pool_run.of(case)) == spoken(case)


def test_the_publish_span_is_the_parent_of_its_deliveries(pool_run: Run) -> None:
    """Every process span hangs under the publish span of its message, in one trace."""
    published = {one.id: one for one in pool_run.seen if one.span.kind == PRODUCER}
    for span in pool_run.seen:
        if span.span.kind == CONSUMER and span.attributes["celery.task.state"] != "invalid":
            parent = published[span.parent]
            assert parent.trace == span.trace
            message = "messaging.message.id"
            assert parent.attributes[message] == span.attributes[message]


def test_counters_are_exact(pool_run: Run) -> None:
    """Outcomes by state and error type are what happened, and the ledger closes."""
    wanted: Counter[tuple[str, str | None, bool]] = Counter()
    for case in cases(pool_run.pool):
        wanted.update((word.state, word.error_type, word.expected) for word in CASES[case][0])
        wanted["success", None, False] += FURTHER.get(case, 0)
    wanted["returned", None, False] += HELD
    counted: Counter[tuple[str, str | None, bool]] = Counter()
    for point in harness.points(pool_run.receiver, "celery.task.outcomes"):
        told = point.attributes
        key = (
            told["celery.task.state"],
            told.get("error.type"),
            told.get("celery.task.expected", False),
        )
        counted[key] += int(point.value)
    assert +counted == wanted
    consumed = harness.total(pool_run.receiver, "messaging.client.consumed.messages")
    assert consumed == wanted.total()
    assert harness.total(pool_run.receiver, "celery.worker.task.count") == 0
    sent = harness.total(pool_run.receiver, "messaging.client.sent.messages")
    redelivered = {"celery__task__redelivered": True}
    again = harness.total(pool_run.receiver, "messaging.client.consumed.messages", **redelivered)
    undecodable = 1  # sent by kombu itself, not through the door
    assert sent + undecodable == consumed - again


def test_waits_and_runs_are_counted_for_deliveries_that_began(pool_run: Run) -> None:
    """A wait for each start but redelivered ones; a run for each end of what began."""
    never = {"expired", "unknown", "invalid", "returned", "delegated"}
    ended = harness.points(pool_run.receiver, "celery.task.outcomes")
    began = 0.0
    for point in ended:
        state, error = point.attributes["celery.task.state"], point.attributes.get("error.type")
        if state not in never and (state, error) != ("revoked", None):
            began += point.value
    assert harness.total(pool_run.receiver, "messaging.process.duration") == began
    redelivered = {"celery__task__redelivered": True}
    again = harness.total(pool_run.receiver, "messaging.client.consumed.messages", **redelivered)
    assert harness.total(pool_run.receiver, "celery.task.queue_wait.duration") == began - again
    exemplars = harness.points(pool_run.receiver, "celery.task.queue_wait.duration")
    assert sum(point.exemplars for point in exemplars) > 0


def test_a_countdown_is_not_waiting(pool_run: Run) -> None:
    """A task with a countdown of 1 s has waited only since it was due, and sent."""
    (span,) = pool_run.of("eta")
    due = datetime.fromisoformat(span.attributes["celery.task.eta"]).timestamp()
    (sent,) = (one for one in pool_run.seen if one.id == span.parent)
    sent_at = sent.span.start_time_unix_nano / 1e9
    waited = span.span.start_time_unix_nano / 1e9 - max(due, sent_at)
    assert span.attributes["celery.task.queue_wait"] == pytest.approx(waited, abs=0.2)
    assert 0 <= span.attributes["celery.task.prefetch_wait"] < waited + 0.2


def test_what_user_code_put_on_the_span_arrives(pool_run: Run) -> None:
    """Attributes, events and child spans of a task stand on and under its process span."""
    (span,) = pool_run.of("success")
    assert span.attributes["cart.items"] == 3
    assert [event.name for event in span.span.events] == ["packed"]
    inner = [one for one in pool_run.seen if one.parent == span.id]
    assert [(one.span.name, one.trace) for one in inner] == [("inner", span.trace)]


@each("hard_limit", "killed")
def test_spans_that_ended_before_a_kill_arrive(pool_run: Run, case: str) -> None:
    """The pool process is dead; what it had ended before is not."""
    (span,) = pool_run.of(case)
    assert [one.span.name for one in pool_run.seen if one.parent == span.id] == ["inner"]
    assert span.seconds < 5, "the end is that of the process, not of Celery's hearing of it"


def test_attempts_are_siblings_and_name_who_asked_for_them(pool_run: Run) -> None:
    """A retry hangs where the first publish hangs, with a link to the attempt that caused it."""
    published = {one.id: one for one in pool_run.seen if one.span.kind == PRODUCER}
    first, second = pool_run.of("retry")
    again = published[second.parent]
    assert again.parent == published[first.parent].parent
    assert first.trace == second.trace
    assert [link.span_id.hex() for link in again.span.links] == [first.id]
    assert again.attributes["celery.task.retries"] == 1
    one, two, three = pool_run.of("topic_retry")
    assert {published[span.parent].parent for span in (one, two, three)} == {""}
    links = [link.span_id.hex() for link in published[three.parent].span.links]
    assert links == [two.id]


def test_canvas_steps_hang_under_the_task_that_sent_them(pool_run: Run) -> None:
    """Chain, chord body and a nested publish: one trace from the first message to the last."""
    processed = {one.id: one for one in pool_run.seen if one.span.kind == CONSUMER}
    published = {one.id: one for one in pool_run.seen if one.span.kind == PRODUCER}
    for case, sender in (("chain", "add"), ("chord", "add")):
        (last,) = pool_run.of(case)
        cause = processed[published[last.parent].parent]
        assert cause.span.name == f"process shop_of_cases.{sender}"
        assert cause.trace == last.trace
    (outer,) = pool_run.of("nested")
    (inner,) = (one for one in pool_run.seen if one.parent == outer.id)
    (nested,) = (one for one in published.values() if one.parent == inner.id)
    assert [one.parent for one in processed.values() if one.parent == nested.id] == [nested.id]


def test_an_eager_task_is_a_span_within_its_caller(pool_run: Run) -> None:
    """No message, no outcome of its own: an internal span."""
    (outer,) = pool_run.of("eager_inside")
    (eager,) = (one for one in pool_run.seen if one.parent == outer.id)
    assert (eager.span.name, eager.span.kind) == ("process shop_of_cases.add", INTERNAL)
    assert eager.attributes == {
        "celery.task.name": "shop_of_cases.add",
        "celery.task.state": "success",
        "celery.task.eager": True,
    }


def test_texts_are_cut_valid_and_without_credentials(pool_run: Run) -> None:
    """Odd and huge exception texts neither spoil a batch nor leak a password."""
    (odd,) = pool_run.of("odd_text")
    (event,) = odd.span.events
    told = harness.plain(event.attributes)
    assert len(told["exception.message"]) <= 4096
    assert len(told["exception.stacktrace"]) <= 32 * 1024
    assert "é☃" in told["exception.message"]
    (failed,) = pool_run.of("failure")
    assert failed.span.status.message == "ValueError: boom at redis://***@host/0"
    assert all(b"secret" not in request.body for request in pool_run.receiver.received)


def test_one_worker_is_one_instance(pool_run: Run) -> None:
    """Whatever its processes do, a worker's metrics come from its nodename."""
    by_worker = {
        point.instance
        for metric in (
            "celery.task.outcomes",
            "messaging.process.duration",
            "celery.worker.cpu.time",
        )
        for point in harness.points(pool_run.receiver, metric)
    }
    assert by_worker == {harness.NODE}


def test_no_hook_of_ours_failed(pool_run: Run) -> None:
    """Nothing was swallowed, dropped or corrected on the way."""
    for metric in ("otel_celery.faults", "otel_celery.relay.dropped", "otel_celery.facts.dropped"):
        assert harness.points(pool_run.receiver, metric) == []
    assert "otel-celery: fault" not in pool_run.log


def test_the_broker_holds_nothing_of_ours(pool_run: Run) -> None:
    """Keys are those that Celery alone makes."""
    assert not [key for key in pool_run.keys if "otel" in key]
    assert pool_run.stopped == 0
