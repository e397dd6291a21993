"""What does other software in the process do to us, and we to it?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import sentry_receiver
from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import OURS, Side
from tests.receiver import Receiver, receiving
from tests.services import missing
from tests.worker import harness
from tests.worker.harness import CONSUMER, INTERNAL, PRODUCER, Seen

APP = str(Path(__file__).with_name("company_app.py"))
PREFORK = ("-P", "prefork", "-c", "1")
SOLO = ("-P", "solo")
USUAL = ("works", "fails", "retries", "sends")
ENDED = ["'done'", "ValueError('no')", "'again'", "'done, FAILURE'"]
DELIVERIES = 6  # of these: one is tried twice, one sends another
ODD = ("ends", "renames", "leaves", "exits")


class Done(NamedTuple):
    """Tasks that were sent and done, and what was told of them."""

    ids: list[str]
    results: list[str]
    seen: list[Seen]
    log: str
    said: str  # by the program that sent them

    def of(self, kind: int) -> list[Seen]:
        return [one for one in self.seen if one.span.kind == kind]


def work(
    side: Side, folder: Path, url: str, receiver: Receiver, pool: tuple[str, ...],
    *names: str, sender: dict[str, str] | None = None, **variables: str,
) -> Done:  # fmt: skip
    """Have a worker do tasks, sent by a program that is watched as it is.

    Args:
        side: who watches both.
        folder: for logs.
        url: of the broker.
        receiver: of what is told.
        pool: arguments of the worker.
        names: of the tasks.
        sender: variables of the sending program alone.
        variables: of both.
    """
    environ = sides.environment(side, url, receiver, **variables)
    with sides.worker(folder, environ, *pool, app="company_app") as worker:
        said = harness.run({**environ, **(sender or {})}, APP, *names)
        sides.drained(url)
        assert worker.stop() == 0, worker.log
    ids, results = json.loads(said.splitlines()[-1])
    return Done(ids, results, harness.spans(receiver), worker.log, said)


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("eager")
def test_what_runs_in_its_caller_is_one_span_there(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver, EAGER="1")
    said = json.loads(harness.run(environ, APP, "works", "fails", "sends").splitlines()[-1])
    within = work(side, tmp_path, redis_url, receiver, SOLO, "sends")
    kinds = Counter(
        one.span.kind for one in within.seen if one.span.name.rpartition("/")[2] != "inner"
        and one.span.name.startswith(("process", "publish", "run", "apply_async"))
    )  # fmt: skip
    measured("internal spans of 8 tasks that ran in their caller", side, kinds[INTERNAL])
    measured("consumer spans of 2 deliveries", side, kinds[CONSUMER])
    measured("producer spans of 2 messages", side, kinds[PRODUCER])
    if side == OURS:
        assert said[1] == ["'done'", "ValueError('no')", "'done, FAILURE'"]
        assert (kinds[INTERNAL], kinds[CONSUMER], kinds[PRODUCER]) == (8, 2, 2)
        assert harness.total(receiver, "celery.task.outcomes") == 2
        assert harness.total(receiver, "messaging.client.sent.messages") == 2
        eager = [one for one in within.seen if one.attributes.get("celery.task.eager")]
        inside = [one for one in eager if one.parent in {each.id for each in within.seen}]
        assert (len(eager), len(inside)) == (8, 5)  # the rest had no span around them
        assert "queue_wait" not in str([one.attributes for one in eager])


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("current-span")
def test_what_a_task_does_to_its_context_ends_with_it(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    names = [name for odd in ODD for name in (odd, "probes")]
    done = work(side, tmp_path, redis_url, receiver, PREFORK, *names)
    process = {one.id: one for one in done.of(CONSUMER)}
    probes = [one for one in done.seen if one.span.name == "probe"]
    right = sum(
        one.parent in process
        and one.attributes["task"] in map(str, process[one.parent].attributes.values())
        for one in probes
    )
    measured(f"process spans of {len(names)}", side, len(process))
    measured(f"next tasks in a context of their own, of {len(ODD)}", side, right)
    measured(f"next tasks without a rest, of {len(ODD)}", side, done.results.count("'clean'"))
    if side == OURS:
        assert len(process) == len(done.of(CONSUMER)) == len(names)
        assert right == len(ODD)
        assert done.results == [
            text for odd in ("ended", "renamed", "left", "out") for text in (f"'{odd}'", "'clean'")
        ]
        ids = {str(one.attributes["messaging.message.id"]) for one in process.values()}
        assert ids == set(done.ids)
        assert harness.total(receiver, "celery.task.outcomes") == len(names)
        assert harness.points(receiver, "otel_celery.faults") == []


@pytest.mark.long
@pytest.mark.fault("handlers-of-others")
def test_handlers_of_others_may_raise_before_ours(
    tmp_path: Path, redis_url: str, measured: Measured
) -> None:
    for side in sides.WATCHING:
        folder = tmp_path / side
        folder.mkdir()
        with receiving() as receiver:
            done = work(side, folder, redis_url, receiver, PREFORK, *USUAL, COMPANY="prerun")
            right = sum(one == wanted for one, wanted in zip(done.results, ENDED, strict=True))
            measured(f"results as ever, of {len(USUAL)}", side, right)
            measured(f"process spans of {DELIVERIES}", side, len(done.of(CONSUMER)))
            assert done.results == ENDED
            if side == OURS:
                assert len(done.of(CONSUMER)) == DELIVERIES
                assert harness.total(receiver, "celery.task.outcomes") == DELIVERIES


@pytest.mark.long
@pytest.mark.parametrize("company", ["contrib", "provider,contrib,sentry"])
@pytest.mark.fault("in-company")
def test_nothing_is_told_twice_in_company(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, company: str
) -> None:
    with receiving() as sentry:
        done = work(
            OURS, tmp_path, redis_url, receiver, PREFORK, *USUAL,
            COMPANY=company, CASES_DSN=sentry_receiver.dsn(sentry),
        )  # fmt: skip
        events = sentry_receiver.events(sentry)
    process, publish = done.of(CONSUMER), done.of(PRODUCER)
    ids = Counter(one.attributes["messaging.message.id"] for one in process)
    warned = done.log.count("takes over from")
    beside = company.replace(",", ", ")
    measured(f"process spans of {DELIVERIES} ({beside})", OURS, len(process))
    measured(f"publish spans of {DELIVERIES} ({beside})", OURS, len(publish))
    assert done.results == ENDED
    assert sorted(ids.values()) == [1] * (DELIVERIES - 2) + [2]
    assert len(publish) == len({one.id for one in publish}) == DELIVERIES
    assert {one.scope for one in (*process, *publish)} == {"otel_celery"}
    assert warned == ("contrib" in company)
    # One event for the failure in a task of its own, one for that within another.
    assert len(events) <= 2
    assert bool(events) == ("sentry" in company)


@pytest.fixture(scope="session")
def ddtrace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ddtrace; installed where others are, it would watch pytest."""
    folder = tmp_path_factory.mktemp("ddtrace")
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    lock = Path(__file__).with_name("ddtrace.txt")
    done = subprocess.run(
        [*install, "--target", folder, "-r", lock], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        missing(f"ddtrace: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.mark.long
@pytest.mark.fault("ddtrace-beside-us")
def test_nothing_is_told_twice_beside_ddtrace(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, ddtrace: Path
) -> None:
    with receiving() as agent:
        done = work(
            OURS, tmp_path, redis_url, receiver, PREFORK, *USUAL,
            COMPANY="ddtrace", DDTRACE_AT=str(ddtrace), DD_TRACE_AGENT_URL=agent.url,
            DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false",
        )  # fmt: skip
        theirs = sum(
            int(request.headers.get("x-datadog-trace-count", 0))
            for request in agent.received
            if request.path.endswith("/traces")
        )
    process, publish = done.of(CONSUMER), done.of(PRODUCER)
    measured(f"process spans of {DELIVERIES}", OURS, len(process))
    measured(f"publish spans of {DELIVERIES}", OURS, len(publish))
    measured("traces that its agent was sent", OURS, theirs)
    assert theirs > 0
    assert done.results == ENDED
    ids = Counter(one.attributes["messaging.message.id"] for one in process)
    assert sorted(ids.values()) == [1] * (DELIVERIES - 2) + [2]
    assert len(publish) == len({one.id for one in publish}) == DELIVERIES
    assert harness.points(receiver, "otel_celery.faults") == []


def broken(folder: Path) -> Counter[str]:
    """Return how often each hook was made to raise, in any process."""
    path = folder / "broken"
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter(line.partition(" ")[2] for line in lines)


def hooks(folder: Path) -> dict[str, set[str]]:
    """Return the processes in which each hook was made to raise."""
    found: dict[str, set[str]] = {}
    for line in (folder / "broken").read_text().splitlines():
        pid, _, hook = line.partition(" ")
        found.setdefault(hook, set()).add(pid)
    return found


def logged_of(hook: str, log: str) -> int:
    return log.count(f"fault in {hook};")


@pytest.mark.parametrize(
    ("pool", "when"),
    [
        pytest.param(PREFORK, "early", id="early-prefork"),
        pytest.param(PREFORK, "late", id="late-prefork", marks=pytest.mark.long),
    ],
)
@pytest.mark.fault("hooks-that-raise")
def test_tasks_do_not_notice_that_every_hook_raises(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured,
    pool: tuple[str, ...], when: str,
) -> None:  # fmt: skip
    """All at once, before their work or after it; each is logged once a minute in a process."""
    began = time.monotonic()
    done = work(
        OURS, tmp_path, redis_url, receiver, pool, *USUAL,
        BREAK=f"{when} *", BROKEN_NOTES=str(tmp_path / "broken"), OTEL_LOGS_EXPORTER="otlp",
    )  # fmt: skip
    right = sum(one == wanted for one, wanted in zip(done.results, ENDED, strict=True))
    raised = hooks(tmp_path)
    measured(f"results as ever, all hooks raise ({when}, {pool[1]})", OURS, f"{right} of 4")
    measured(f"hooks that raised ({when}, {pool[1]})", OURS, len(raised))
    assert done.results == ENDED
    assert len(raised) >= 5
    for hook, processes in raised.items():
        # A process that was forked after its parent complained has nothing new to say.
        minutes = 1 + (time.monotonic() - began) // 60
        assert logged_of(hook, done.log) <= len(processes) * minutes, hook
    logged = {hook for hook in raised if logged_of(hook, done.log)}
    # What raises only while a process leaves, or in the program that sends, is not in this log.
    assert logged >= raised.keys() & {"worker_init", "dress", "received", "started", "ended"}


COUNTED = {
    "of what is told": (
        "published", "executed", "headers", "context", "eager", "heartbeat", "fork",
        "log records", "log line", "user span", "user metrics",
    ),
    "before the task": ("publish", "received", "execution"),
    "after the task": ("started", "ended", "settled", "worker_process_init"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("which", COUNTED)
@pytest.mark.fault("hooks-that-raise")
def test_each_fault_is_counted_once_with_its_hook(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, which: str
) -> None:
    """In main or in a pool process; a program that only sends would say it in its log."""
    done = work(
        OURS, tmp_path, redis_url, receiver, PREFORK, *USUAL,
        BREAK=f"early {','.join(COUNTED[which])}", BROKEN_NOTES=str(tmp_path / "broken"),
        OTEL_LOGS_EXPORTER="otlp", sender={"BREAK": ""},
    )  # fmt: skip
    raised = broken(tmp_path)
    counted = {
        hook: harness.total(receiver, "otel_celery.faults", otel_celery__hook=hook)
        for hook in raised
    }
    measured(f"faults that were made, hooks {which}", OURS, raised.total())
    measured(f"faults that were counted, hooks {which}", OURS, f"{sum(counted.values()):g}")
    assert done.results == ENDED
    assert set(raised) >= set(COUNTED[which]) - {"heartbeat", "fork", "user metrics"}
    assert counted == raised
