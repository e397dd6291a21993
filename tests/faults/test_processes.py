"""What is told of tasks whose process ends under them, and of those that ran beside them?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, CONTRIB, OURS, Message, Side
from tests.faults.truth import EXITS, OUTCOMES, Told, exact, outcomes, told
from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness

TASKS = 200
WORKER = ("-P", "prefork", "-c", "8")
TWO = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")


def exits(receiver: Receiver) -> Counter[str]:
    """Return why pool processes ended, as counted, but for those that the stop ended."""
    counted: Counter[str] = Counter()
    for point in harness.points(receiver, EXITS):
        counted[point.attributes["celery.worker.pool.process.exit.reason"]] += int(point.value)
    counted.pop("shutdown", None)
    return +counted


def ran(
    folder: Path, url: str, receiver: Receiver, side: Side, messages: list[Message],
    *arguments: str, **variables: str,
) -> tuple[list[str], Told]:  # fmt: skip
    """Have a worker of one side take these messages, and stop it when it is done."""
    environ = sides.environment(side, url, receiver, **variables)
    ids = sides.send_all(environ, *messages)
    with sides.worker(folder, environ, *TWO, *arguments, app="ends_app") as worker:
        sides.drained(url)
        if side == CONTRIB:  # its pool processes lose what they hold at a stop: that is another row
            sides.quiet(receiver)
        worker.stop()
    return ids, told(url, receiver)


def note(measured: Measured, side: Side, found: Told) -> None:
    """Note how much was told of what ran."""
    measured("runs with their process span", side, f"{found.run_spans} of {len(found.began)}")
    measured("child spans that arrived", side, f"{found.inner_spans} of {len(found.began)}")


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("recycled-at-every-task")
def test_recycling_loses_nothing(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    sides.send(environ, "inner", TASKS)
    with sides.worker(tmp_path, environ, *WORKER, "--max-tasks-per-child", "1") as worker:
        sides.drained(redis_url)
        worker.stop()
    seen = harness.spans(receiver)
    process = harness.deliveries(seen)
    inner = [one for one in seen if one.span.name == "inner"]
    measured("process spans that arrived", side, f"{len(process)} of {TASKS}")
    measured("child spans that arrived", side, f"{len(inner)} of {TASKS}")
    if side == OURS:
        counted = harness.points(receiver, OUTCOMES)
        number = sum(point.value for point in counted)
        measured("outcomes counted", side, f"{number:g} of {TASKS}")
        measured("series of outcomes", side, len([one for one in counted if one.value]))
        assert sum(map(len, process.values())) == len(process) == len(inner) == number == TASKS


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("process-killed")
def test_a_kill_loses_neither_the_task_nor_its_neighbours(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    plan: list[Message] = [("run", 9, (), {}), ("run", 1, ("killed",), {})] * 4
    ids, found = ran(tmp_path, redis_url, receiver, side, plan)
    assert len(found.began) == len(ids) == 40
    note(measured, side, found)
    if side == OURS:
        exact(found, receiver)
        assert found.states(ids) == outcomes(receiver) == {"success": 36, "lost": 4}
        assert exits(receiver) == {"signal": 4}
        measured("outcomes", side, "36 success, 4 lost")


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("memory-limit")
def test_a_process_that_grew_too_large_leaves_with_all_told(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    plan: list[Message] = [("run", 8, (), {}), ("run", 1, ("grows", 150), {})] * 3
    plan += [("run", 8, (), {})]
    ids, found = ran(
        tmp_path, redis_url, receiver, side, plan, "--max-memory-per-child", "200000"
    )  # fmt: skip
    assert len(found.ended) == len(ids) == 35
    note(measured, side, found)
    if side == OURS:
        exact(found, receiver)
        assert found.states(ids) == {"success": 35}
        assert exits(receiver).keys() == {"recycled"}


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("out-of-memory")
def test_what_the_kernel_kills_for_its_memory_is_told_as_lost(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    plan: list[Message] = [("run", 9, (), {}), ("run", 1, ("oom-killed", 1000), {})] * 2
    with small_group() as group:
        ids, found = ran(tmp_path, redis_url, receiver, side, plan, OOM_GROUP=str(group))
    assert len(found.began) == len(ids) == 20
    note(measured, side, found)
    if side == OURS:
        exact(found, receiver)
        assert found.states(ids) == outcomes(receiver) == {"success": 18, "lost": 2}
        assert exits(receiver) == {"signal": 2}


@contextmanager
def small_group() -> Iterator[Path]:
    """Yield a control group that may have 300 MB, of version 1 or 2; needs root."""
    root = Path("/sys/fs/cgroup")
    first = root / "memory"
    group = (first if first.is_dir() else root) / f"otel-celery-{os.getpid()}"
    limit = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
    try:
        group.mkdir()
    except OSError as why:
        pytest.skip(f"cannot make a control group: {why}")
    try:
        (group / limit).write_text(str(300 << 20))
        yield group
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("memory-error")
def test_a_memory_error_that_ends_the_worker_is_told(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    ids = sides.send_all(environ, ("run", 9, (), {}), ("run", 1, ("exhausted", 500), {}))
    with sides.worker(tmp_path, environ, *TWO, app="ends_app") as worker:
        measured("exit code of the worker", side, worker.process.wait(60))
    found = told(redis_url, receiver)
    assert worker.process.returncode == 1
    assert len(found.began) == len(ids) == 10
    if side != ALONE:
        note(measured, side, found)
    if side == OURS:
        exact(found, receiver)
        assert found.states(ids) == outcomes(receiver) == {"success": 9, "failure": 1}


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("time-limits")
def test_a_limit_is_told_once(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    plan: list[Message] = [
        ("run", 9, (), {}),
        ("run", 2, ("sleeps", 30), {"time_limit": 1}),
        ("late", 2, ("sleeps", 30), {"time_limit": 1}),
        ("run", 2, ("sleeps", 30), {"soft_time_limit": 1}),
    ]
    ids, found = ran(tmp_path, redis_url, receiver, side, plan)
    assert len(found.began) == len(ids) == 15
    note(measured, side, found)
    if side == OURS:
        exact(found, receiver)
        wanted = {"success": 9, "timeout": 4, "failure": 2}
        assert found.states(ids) == outcomes(receiver) == wanted
        assert harness.total(receiver, "messaging.process.duration") == 15
        assert exits(receiver) == {"time_limit": 4}
        measured("outcomes", side, "9 success, 4 timeout, 2 failure")
