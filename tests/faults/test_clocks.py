"""Are waits and durations true when clocks are wrong, or are set?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import OURS, Side
from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness

FIVE_MINUTES = 300.0
SENT = 20
SKEWED = "otel_celery.clock_skew.corrections"


def set_clock(path: Path, seconds: float) -> None:
    """Set a clock, at once for all who read it."""
    path.with_suffix(".new").write_text(str(seconds))
    path.with_suffix(".new").replace(path)


@pytest.mark.long
@pytest.mark.fault("clocks-disagree")
def test_a_wait_is_never_negative(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured
) -> None:
    environ = sides.environment(OURS, redis_url, receiver)
    orders = [("returns", [1])] * SENT
    sent = {}
    for name, seconds in (("ahead", FIVE_MINUTES), ("behind", -FIVE_MINUTES)):
        set_clock(tmp_path / name, seconds)
        sent[name] = sides.order(environ | {"CLOCK": str(tmp_path / name)}, *orders)
    with sides.worker(tmp_path, environ, *sides.QUIET, app="contents_app") as worker:
        sides.drained(redis_url)
        assert worker.stop() == 0
    found = harness.deliveries(harness.spans(receiver))
    waits = {
        name: [one.attributes["celery.task.queue_wait"] for id_ in ids for one in found[id_]]
        for name, ids in sent.items()
    }
    corrected = harness.total(receiver, SKEWED)
    measured("publisher ahead: longest wait told", OURS, f"{max(waits['ahead']):g} s")
    measured("publisher ahead: corrections counted", OURS, f"{corrected:g} of {SENT}")
    measured("publisher behind: shortest wait told", OURS, f"{min(waits['behind']):.0f} s")
    assert waits["ahead"] == [0.0] * SENT
    assert corrected == SENT
    assert len(waits["behind"]) == SENT
    assert min(waits["behind"]) >= FIVE_MINUTES
    (duration,) = harness.points(receiver, "messaging.process.duration")
    assert (duration.value, duration.total < 60) == (2 * SENT, True)


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("clock-is-set")
def test_a_clock_that_is_set_changes_no_duration(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    honest = sides.environment(side, redis_url, receiver)
    environ = honest | {"CLOCK": str(clock)}
    sent: list[str] = []
    with (
        sides.worker(tmp_path, environ, *sides.QUIET, app="contents_app") as worker,
        redis.Redis.from_url(redis_url) as broker,
    ):
        for seconds in (-FIVE_MINUTES, FIVE_MINUTES):
            sent += sides.order(honest, ("lasts", [1.0]), ("lasts", [1.0]))
            eventually(partial(holds, broker, "begun", len(sent)))
            set_clock(clock, seconds)
            eventually(partial(holds, broker, "ended", len(sent)))
            heard = len(receiver.received)
            if side == OURS:
                eventually(partial(depth_is_told, receiver, heard))
            sent += sides.order(honest, ("lasts", [0.0]))  # by the clock that was set
            eventually(partial(holds, broker, "ended", len(sent)))
        sides.exported(side, receiver, len(sent))
        assert worker.stop() == 0
    found = harness.deliveries(harness.spans(receiver))
    lasted = [one for id_ in sent for one in found[id_]]
    seconds = sorted(one.seconds for one in lasted)
    measured("process spans that arrived", side, f"{len(lasted)} of {len(sent)}")
    measured(
        "durations told", side, f"{min(seconds, default=0):.0f} to {max(seconds, default=0):.0f} s"
    )
    if side == OURS:
        assert len(lasted) == len(sent)
        assert (min(seconds) >= 0, max(seconds) < 60) == (True, True)
        assert sum(one >= 1.0 for one in seconds) >= 4
        assert min(one.attributes["celery.task.queue_wait"] for one in lasted) == 0.0
        assert min(one.attributes["celery.task.prefetch_wait"] for one in lasted) >= 0.0
        (duration,) = harness.points(receiver, "messaging.process.duration")
        assert (duration.value, duration.total < 60) == (len(sent), True)
        assert harness.total(receiver, SKEWED) >= 1


def holds(broker: Any, key: str, number: int) -> bool:
    """Has the broker's Redis so many marks?"""
    return bool(broker.scard(key) == number)


def depth_is_told(receiver: Receiver, heard: int) -> bool:
    """Has a reading of the queue come since so many requests had come?"""
    return any(b"celery.queue.depth" in one.body for one in receiver.received[heard:])
