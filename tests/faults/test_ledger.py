"""Is the ledger exact after everything at once?

Each run prints its seed; `LEDGER_SEED` repeats it, `LEDGER_TASKS` makes it shorter or longer.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import sides
from tests.faults.ledger_judge import figures, judge
from tests.faults.ledger_run import Broker, RabbitMQ, Redis, Run
from tests.faults.results import Measured
from tests.faults.sides import OURS, Side
from tests.services import ServiceMissing, missing

SEED = int(os.environ.get("LEDGER_SEED", random.randrange(1 << 32)))
TASKS = int(os.environ.get("LEDGER_TASKS", 20_000))
OFTEN = {"kill": 5, "broker": 0.15, "collector": 0.2, "warm": 0.15, "cold": 0.1}
"""Faults in 1,000 messages; each kind happens once at least."""


def run(folder: Path, broker: Callable[[Path], Broker], side: Side, *plan: object) -> Run:
    """Return a run that has come to its end, or skip."""
    print(f"LEDGER_SEED={plan[0]} LEDGER_TASKS={plan[1]}")
    try:
        done = Run(folder, broker, side, *plan)
    except ServiceMissing as why:
        missing(str(why))
    done()
    return done


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.parametrize(
    "broker",
    [
        pytest.param(Redis, marks=pytest.mark.fault("all-at-once-redis"), id="redis"),
        pytest.param(RabbitMQ, marks=pytest.mark.fault("all-at-once-rabbitmq"), id="rabbitmq"),
    ],
)
def test_the_ledger_is_exact_whatever_happens(
    tmp_path: Path, measured: Measured, broker: Callable[[Path], Broker], side: Side
) -> None:
    done = run(tmp_path, broker, side, SEED, TASKS, OFTEN)
    measured("faults injected", side, done.injected)
    for figure, value in figures(*done.told, told=side == OURS).items():
        measured(figure, side, value)
    if side == OURS:
        differences = judge(*done.told)
        assert not differences, "\n".join(differences)


@pytest.mark.long
def test_the_ledger_is_exact_after_a_little_of_everything(tmp_path: Path) -> None:
    """One run of a plan that never changes, without what takes long."""
    done = run(tmp_path, Redis, OURS, 7, 100, {"kill": 20, "warm": 1})
    differences = judge(*done.told)
    assert not differences, "\n".join(differences)
