"""Does a worker end as ever, whenever it is told to?"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.faults import sides
from tests.faults.many import many
from tests.faults.results import Measured
from tests.faults.sides import OURS, Side
from tests.faults.tally import Tally, tallying
from tests.worker import harness

OUTCOMES, CONSUMED = "celery.task.outcomes", "messaging.client.consumed.messages"
EXPORTED, PROCESSED = "otel.sdk.exporter.span.exported", "otel.sdk.processor.span.processed"
WELL = {0, -15}
"""-15: the signal came before Celery had a handler for it."""


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("sigterm-at-any-moment")
def test_a_stop_at_any_moment_is_clean(
    tmp_path: Path, redis_url: str, measured: Measured, side: Side
) -> None:
    stops = many(15, 500) if side == OURS else many(9, 60)
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print("SEED", seed)
    tally, temporary = Tally(OUTCOMES, CONSUMED, EXPORTED, PROCESSED), tmp_path / "tmp"
    temporary.mkdir()
    with tallying(tally) as receiver:
        environ = sides.environment(
            side, redis_url, receiver,
            TMPDIR=str(temporary), WATCHED_IN="pool", OTEL_CELERY_FLUSH_TIMEOUT="20",
        )  # fmt: skip
        script = str(sides.HERE / "stopping.py")
        arguments = (str(stops), str(seed), str(tmp_path))
        said = harness.run(environ, script, *arguments, timeout=60 + 30 * stops)
    told: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    with redis.Redis.from_url(redis_url) as broker:
        ran = Counter(each.decode() for each in broker.lrange("ran", 0, -1))
    spans: Counter[str] = sum(tally.tasks.values(), Counter())
    hung = [each for each in told if each["hung"]]
    codes = Counter(each["code"] for each in told)
    left = sum(each["left"] for each in told)
    measured("stops", side, stops)
    measured("hung", side, len(hung))
    measured("exit codes", side, ", ".join(f"{n} x {code}" for code, n in sorted(codes.items())))
    measured("processes left behind", side, left)
    measured("tasks that ran", side, ran.total())
    measured("of these, run again by Celery", side, ran.total() - len(ran))
    if side != sides.ALONE:
        arrived = spans.total() if side == OURS else tally.names["run/noted"]
        measured("process spans that arrived", side, arrived)
        measured("spans that came twice", side, tally.twice)
    if side == OURS:
        succeeded = tally.total(OUTCOMES, celery__task__state="success")
        measured("outcomes counted", side, succeeded)
        assert (hung, left, set(codes) - WELL) == ([], 0, set())
        assert tally.twice == 0
        # Celery gives back what a pool process has been handed and not begun; it may run all the
        # same, and is told then.
        assert spans == ran
        assert succeeded == ran.total()
        assert tally.total(OUTCOMES) == tally.total(CONSUMED)
        assert len(list(temporary.glob("otel-celery-*"))) <= codes[-15]
