"""How is this worker?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from otel_celery import conventions as c
from otel_celery import vitals as module
from otel_celery.counts import Counts
from otel_celery.vitals import Vitals, memory_limit
from tests.unit.stand_ins import Readings, delivery


@pytest.fixture
def readings() -> Iterator[Readings]:
    made = Readings()
    yield made
    made.provider.shutdown()


@pytest.fixture
def counts(readings: Readings) -> Counts:
    return Counts(readings.instruments)


def consumer_of(*queues: str, prefetch: int | None = 8, processes: int = 4) -> Any:
    return SimpleNamespace(
        pool=SimpleNamespace(num_processes=processes),
        qos=SimpleNamespace(value=prefetch),
        task_consumer=SimpleNamespace(queues=[SimpleNamespace(name=name) for name in queues]),
    )


@pytest.fixture
def vitals(readings: Readings, counts: Counts) -> Vitals:
    made = Vitals("prefork", counts)
    made.observe(readings.instruments)
    return made


GAUGES = (
    c.POOL_LIMIT, c.PREFETCH_LIMIT, c.WORKER_HEARTBEAT, c.QUEUE_CONSUMING, c.OLDEST_ACTIVE,
)  # fmt: skip


def test_what_is_not_known_yet_has_no_point(vitals: Vitals, readings: Readings):
    """Never a zero."""
    assert [metric.name for metric in GAUGES if readings.points(metric)] == []
    assert readings.values(c.BROKER_CONNECTED) == {(): 0}


def test_a_connected_worker_says_what_it_may_hold(vitals: Vitals, readings: Readings):
    vitals.consumer, vitals.connected = consumer_of("mail", "video"), True
    before = time.time()
    vitals.beat()
    assert readings.values(c.POOL_LIMIT, c.POOL_TYPE) == {("prefork",): 4}
    assert readings.values(c.PREFETCH_LIMIT) == {(): 8}
    assert readings.values(c.BROKER_CONNECTED) == {(): 1}
    assert readings.values(c.QUEUE_CONSUMING, c.QUEUE) == {("mail",): 1, ("video",): 1}
    assert before <= readings.values(c.WORKER_HEARTBEAT)[()] <= time.time()
    assert vitals.queues() == ["mail", "video"]


def test_a_worker_that_lost_its_broker_consumes_nothing(vitals: Vitals, readings: Readings):
    vitals.consumer, vitals.connected = consumer_of("mail"), True
    vitals.beat()
    vitals.connected = False
    vitals.consumer.pool = None  # it is being taken apart
    vitals.beat()
    assert readings.values(c.BROKER_CONNECTED) == {(): 0}
    assert readings.points(c.QUEUE_CONSUMING) == []
    assert readings.values(c.POOL_LIMIT) == {(): 4}


@pytest.mark.parametrize(
    "consumer",
    [
        pytest.param(None, id="no-consumer"),
        pytest.param(SimpleNamespace(task_consumer=None, qos=None), id="between-connections"),
    ],
)
def test_a_consumer_that_is_not_complete_consumes_nothing(
    vitals: Vitals, readings: Readings, consumer: Any
):
    vitals.consumer = consumer
    assert (vitals.queues(), readings.points(c.PREFETCH_LIMIT)) == ([], [])


def test_a_worker_without_a_prefetch_limit_has_none(vitals: Vitals, readings: Readings):
    vitals.consumer = consumer_of(prefetch=None)
    assert readings.points(c.PREFETCH_LIMIT) == []


@pytest.mark.parametrize(
    ("pool", "busy", "alive"),
    [
        pytest.param("solo", True, True, id="solo-while-its-task-runs"),
        pytest.param("solo", False, False, id="solo-that-hangs"),
        pytest.param("prefork", True, False, id="prefork-whose-loop-hangs"),
    ],
)
def test_a_loop_that_stands_still_stops_the_heartbeat(
    readings: Readings, counts: Counts, pool: str, busy: bool, alive: bool
):
    """In a solo worker it stands still for each task, and the worker is well."""
    vitals = Vitals(pool, counts)
    vitals.observe(readings.instruments)
    vitals.beaten_at = long_ago = time.time() - 1000
    if busy:
        of = delivery()
        counts.received(of)
        counts.started(of)
    assert (readings.values(c.WORKER_HEARTBEAT)[()] > long_ago) is alive


def test_a_worker_that_reaches_its_broker_has_a_heartbeat_at_once(vitals: Vitals):
    """From then on that alone is a sign of life."""
    assert vitals.alive_at(1000.0) == 1000.0
    before = time.time()
    vitals.connect(consumer_of("mail"))
    assert before <= vitals.alive_at(before + 1000) <= time.time()
    assert vitals.queues() == ["mail"]
    vitals.connected = False
    assert vitals.alive_at(before + 1000) == before + 1000


def test_cpu_and_memory_are_those_of_main_and_its_pool_processes(
    vitals: Vitals, readings: Readings, monkeypatch: pytest.MonkeyPatch
):
    """And one that ends while it is asked is not there."""

    def times(user: float, **more: float) -> Any:
        return SimpleNamespace(user=user, system=1.0, **more)

    def gone() -> Any:
        raise psutil.NoSuchProcess(7)

    child = SimpleNamespace(
        cpu_times=lambda: times(20.0), memory_info=lambda: SimpleNamespace(rss=200)
    )
    ended = SimpleNamespace(cpu_times=gone, memory_info=gone)
    main = SimpleNamespace(
        cpu_times=lambda: times(300.0, children_user=4000.0, children_system=50000.0),
        memory_info=lambda: SimpleNamespace(rss=3000),
        children=lambda: [child, ended],
    )
    monkeypatch.setattr(vitals, "_process", main)
    assert readings.values(c.WORKER_CPU) == {(): 54322.0}
    assert readings.values(c.WORKER_MEMORY) == {(): 3200}
    main.children = lambda: [ended]  # and is not yet among those that were waited for
    assert readings.values(c.WORKER_CPU) == {(): 54322.0}


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        pytest.param(["1048576\n", None], [(1048576, {})], id="version-2"),
        pytest.param(["max\n", None], [], id="version-2-without"),
        pytest.param([None, "2097152\n"], [(2097152, {})], id="version-1"),
        pytest.param([None, f"{(1 << 63) - 4096}\n"], [], id="version-1-without"),
        pytest.param([None, None], [], id="no-control-group"),
    ],
)
def test_a_memory_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str | None], limit: list[Any]
):
    paths = [tmp_path / str(number) for number in range(len(files))]
    for path, text in zip(paths, files, strict=True):
        if text is not None:
            path.write_text(text)
    monkeypatch.setattr(module, "_CGROUP_LIMITS", tuple(paths))
    assert list(memory_limit()) == limit
