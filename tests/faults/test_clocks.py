"""Are waits and durations true when clocks are wrong?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import OURS
from tests.receiver import Receiver
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
