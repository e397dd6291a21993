"""Does a worker that works for long hold any more than one that has just begun?"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults import sides
from tests.faults.copies import Copies
from tests.faults.many import many
from tests.faults.results import Measured
from tests.faults.sides import OURS, Side
from tests.faults.tally import Tally, tallying
from tests.waiting import eventually

OUTCOMES, CONSUMED = "celery.task.outcomes", "messaging.client.consumed.messages"
PROCESSED, EXITS = "otel.sdk.processor.span.processed", "celery.worker.pool.process.exits"
CHILD = 1000
"""Tasks after which a pool process is replaced."""
WORKER = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
QUEUE, QUEUE_MIB = 50_000, 64
"""What `docs/limits.md` says of spans that wait."""


def held(path: Path) -> list[dict[str, Any]]:
    """Return what the worker's main wrote of itself."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def feed(copies: Copies, tasks: int, sent: int = 0) -> int:
    """Send so many tasks in all, no faster than they are worked on."""
    ahead = min(tasks // 10, 2_000)
    while sent < tasks:
        waiting = copies.broker.llen("celery")
        more = min(ahead - waiting, tasks - sent)
        copies.put(more)
        sent += max(more, 0)
        time.sleep(0.1)
    eventually(lambda: copies.broker.llen("celery") <= ahead // 2, 300)
    return sent


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("long-run")
def test_a_long_run_grows_nothing(
    tmp_path: Path, redis_url: str, measured: Measured, side: Side
) -> None:
    """Nobody receives in its second quarter; what is told, held and counted is looked at."""
    tasks = many(2_000, 200_000) if side == OURS else many(1_000, 20_000)
    queue = min(QUEUE, tasks // 4)  # half of what is made while nobody receives
    tally = Tally(OUTCOMES, CONSUMED, PROCESSED, EXITS)
    log, copies = tmp_path / "held.jsonl", Copies(redis_url, "inner")
    recycled = ("--max-tasks-per-child", str(min(CHILD, tasks // 20)))
    with tallying(tally) as receiver:
        environ = sides.environment(
            side, redis_url, receiver, HELD=str(log), QUEUE=str(queue),
            OTEL_METRIC_EXPORT_INTERVAL="5000", OTEL_CELERY_FLUSH_TIMEOUT="60",
        )  # fmt: skip
        began = time.monotonic()
        with sides.worker(tmp_path, environ, *WORKER, *recycled, app="long_app") as worker:
            sent = feed(copies, tasks // 4)
            away, tally.away = len(held(log)), True
            sent = feed(copies, tasks // 2, sent)
            tally.away = False
            feed(copies, tasks, sent)
            sides.drained(redis_url)
            seconds = time.monotonic() - began
            if side == OURS:
                eventually(lambda: tally.total(OUTCOMES) == tasks, 120)
            assert worker.stop(timeout=120) == 0
            text = worker.log
    lines = held(log)
    tell(measured, side, tasks, seconds, lines)
    process, child = tally.names["process inner"], tally.names["inner"]
    if side == OURS:
        dropped = tally.total(PROCESSED, error__type="queue_full")
        told = f"{process + child:,} + {dropped:,} counted as dropped"
        measured("process and child spans", side, told)
        measured("outcomes counted", side, f"{tally.total(OUTCOMES):,}")
        measured("pool processes that ended", side, tally.total(EXITS))
        measured("spans that waited, at most", side, f"{max(map(waiting, lines)):,} of {queue:,}")
        judge(lines, away, queue)
        assert dropped > 0
        assert tally.twice == 0
        assert process + child + dropped == 2 * tasks
        assert tally.total(OUTCOMES) == tally.total(CONSUMED) == tasks
        assert "fault in" not in text
    elif side != sides.ALONE:
        measured("process and child spans", side, f"{tally.names['run/inner'] + child:,}")


def tell(
    measured: Measured, side: Side, tasks: int, seconds: float, lines: list[dict[str, Any]]
) -> None:
    measured("tasks", side, f"{tasks:,}")
    measured("tasks a second", side, round(tasks / seconds))
    early = lines[len(lines) // 10]
    for what, unit in (("memory", " MiB"), ("descriptors", ""), ("threads", "")):
        values = [line[what] for line in lines]
        measured(
            f"{what} early, most, at the end", side,
            f"{early[what]:g}{unit}, {max(values):g}{unit}, {values[-1]:g}{unit}",
        )  # fmt: skip


def waiting(line: dict[str, Any]) -> int:
    """Return how many parcels waited to be exported: here each is one span."""
    sizes: dict[str, int] = line["sizes"]
    return sizes.get(".here.exporter.lane._outbox._parcels", 0)


def judge(lines: list[dict[str, Any]], away: int, queue: int) -> None:
    """See that nothing is larger at the end than before the receiver went."""
    early, late = lines[:away], lines[-max(len(lines) // 10, 1) :]
    usual = {key: max(line["sizes"].get(key, 0) for line in early) for key in late[-1]["sizes"]}
    least = {key: min(line["sizes"].get(key, 0) for line in late) for key in usual}
    assert {key: size for key, size in least.items() if size > usual[key] + 50} == {}
    for what in ("threads", "descriptors"):
        assert min(line[what] for line in late) <= max(line[what] for line in early)
    # An allocator keeps some of what it has had: as much as the queue at its fullest, no more.
    assert late[-1]["memory"] < early[-1]["memory"] + 2 * QUEUE_MIB
    assert max(map(waiting, lines)) <= queue
