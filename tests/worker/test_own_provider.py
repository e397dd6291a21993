"""Spans and metrics that tasks make, with providers of the application and without."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from celery import Celery

from tests.receiver import Receiver, receiving
from tests.worker import harness
from tests.worker.harness import CONSUMER, Seen

NAME = f"own{os.getpid()}@test"  # two runs at once on one host are two workers
TASKS = 6
PREFORK = ("-P", "prefork", "-c", "2")


class Told(NamedTuple):
    """What a worker told of its tasks, and what those returned."""

    results: list[Any]
    process: list[Seen]
    inner: list[Seen]
    receiver: Receiver
    log: str

    def services(self, seen: list[Seen]) -> dict[str, int]:
        """Return how many spans came from each service."""
        return dict(Counter(span.resource["service.name"] for span in seen))

    def sums(self, metric: str) -> dict[str, float]:
        """Return a counter's sum by instance, where a new process begins anew."""
        last: dict[tuple[str, int], tuple[int, float]] = {}
        for request in self.receiver.metrics:
            for by_resource in request.resource_metrics:
                who = harness.plain(by_resource.resource.attributes)["service.instance.id"]
                for by_scope in by_resource.scope_metrics:
                    for one in by_scope.metrics:
                        if one.name == metric:
                            for point in one.sum.data_points:
                                key = who, point.start_time_unix_nano
                                # Two exports of one process may overtake each other.
                                told = point.time_unix_nano, point.as_int
                                last[key] = max(last.get(key, told), told)
        found: defaultdict[str, float] = defaultdict(float)
        for (who, _), (_, value) in last.items():
            found[who] += value
        return dict(found)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a Redis of this file's own."""
    with harness.broker(tmp_path_factory.mktemp("redis")) as url:
        yield url


def told(folder: Path, url: str, task: str, *arguments: str, **variables: str) -> Told:
    """Run a worker for some tasks, stop it, and return all that it told."""
    with receiving() as receiver:
        environ = harness.environment(url, receiver, INSTRUMENT="1", **variables)
        client = Celery(broker=url, backend=environ["CASES_BACKEND"], set_as_current=False)
        with (
            client,
            harness.worker(folder, environ, *arguments, "-n", NAME, app="plain_app") as worker,
        ):
            sent = [client.send_task(task) for _ in range(TASKS)]
            results = [each.get(timeout=60) for each in sent]
            assert worker.stop() == 0, worker.log
        seen = harness.spans(receiver)
        return Told(
            results,
            [one for one in seen if one.span.kind == CONSUMER],
            [one for one in seen if one.span.name == "inner"],
            receiver,
            worker.log,
        )


def test_providers_set_before_the_fork_take_all_spans(tmp_path: Path, redis_url: str) -> None:
    """Main's process spans go through them as well; processes that leave have exported theirs."""
    found = told(
        tmp_path, redis_url, "plain.count", *PREFORK, "--max-tasks-per-child=1", PROVIDER="import"
    )
    assert len(set(found.results)) == TASKS, "each task had a process of its own"
    assert found.services(found.process) == {"of-the-app": TASKS}
    assert found.services(found.inner) == {"of-the-app": TASKS}
    assert {one.parent for one in found.inner} == {one.id for one in found.process}
    assert "fault in" not in found.log


def test_what_main_counted_before_the_fork_is_told_once(tmp_path: Path, redis_url: str) -> None:
    """Pool processes inherit the sums; they go on from zero."""
    found = told(tmp_path, redis_url, "plain.count", *PREFORK, PROVIDER="import")
    assert sum(found.sums("plain.starts").values()) == 1
    assert sum(found.sums("plain.counted").values()) == TASKS


def test_providers_set_in_the_pool_process_take_what_tasks_make(
    tmp_path: Path, redis_url: str
) -> None:
    """Ours do not come before them; main, which has none, speaks for itself."""
    found = told(
        tmp_path, redis_url, "plain.count", *PREFORK, "--max-tasks-per-child=2", PROVIDER="init"
    )
    assert found.services(found.process) == {"plain": TASKS}
    assert found.services(found.inner) == {"of-the-app": TASKS}
    assert {one.parent for one in found.inner} == {one.id for one in found.process}
    assert sum(found.sums("plain.counted").values()) == TASKS
    assert "Overriding" not in found.log


def test_metrics_of_tasks_carry_the_place_of_their_process(tmp_path: Path, redis_url: str) -> None:
    """However often processes are renewed, there are no more identities than places."""
    found = told(tmp_path, redis_url, "plain.count", *PREFORK, "--max-tasks-per-child=1")
    sums = found.sums("plain.counted")
    assert len(set(found.results)) == TASKS
    assert set(sums) <= {f"{NAME}#0", f"{NAME}#1"}
    assert sum(sums.values()) == TASKS


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_metrics_of_tasks_in_main_carry_the_workers_name(
    tmp_path: Path, redis_url: str, pool: str
) -> None:
    """There is one process, and the worker's stop flushes it."""
    found = told(tmp_path, redis_url, "plain.count", "-P", pool)
    assert found.sums("plain.counted") == {NAME: TASKS}
    assert found.services(found.inner) == {"plain": TASKS}


def test_tasks_without_metrics_have_no_thread_beside_them(tmp_path: Path, redis_url: str) -> None:
    """A pool process is left as Celery made it."""
    found = told(tmp_path, redis_url, "plain.quiet", *PREFORK)
    assert found.results == [["MainThread"]] * TASKS
    assert found.services(found.inner) == {"plain": TASKS}
