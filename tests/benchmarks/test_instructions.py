"""Are the instructions of the piece of work counted that is meant, and is an excess told?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import callgrind, quick
from benchmarks.micro import Cost
from tests.services import ServiceMissing, missing, program
from tests.tables import ROOT

WORK = """
from benchmarks.marks import Marks
def work(n):
    for _ in range(n): pass
work(5_000); mark = Marks(); work(10_000); mark("once"); work(20_000); mark("twice")
"""
LIMITS = {
    "python": "CPython 3.11.7",
    "places": {"pool": {"bare": 200_000, "hot": 12_000, "all": 12_500}},
}


def found(bare: float, hot: float, all: float) -> dict[str, dict[str, Cost]]:
    return {"pool": {"bare": Cost(bare, bare), "extra": Cost(hot, all)}}


def test_work_between_two_marks_is_counted(tmp_path: Path) -> None:
    """Twice the work is twice the instructions; start and end of the process are in none."""
    try:
        program("valgrind")
    except ServiceMissing as why:
        missing(str(why))
    command = [sys.executable, "-S", "-c", WORK]
    printed, marks = callgrind.run(command, {"PYTHONPATH": str(ROOT)}, tmp_path / "counts")
    start, once, twice = (threads[1] for threads in marks)
    assert printed == ""
    assert twice == pytest.approx(2 * once, rel=0.1)
    assert start < once / 2


def test_a_program_that_fails_is_no_measurement(tmp_path: Path) -> None:
    try:
        program("valgrind")
    except ServiceMissing as why:
        missing(str(why))
    with pytest.raises(RuntimeError, match="ended with 3"):
        callgrind.run(["/bin/sh", "-c", "exit 3"], {}, tmp_path / "counts")


def test_what_is_within_its_limits_is_well() -> None:
    assert quick.excesses(found(200_000, 11_999, 12_400), LIMITS) == []


def test_an_excess_is_told_with_its_place_and_limit() -> None:
    assert quick.excesses(found(200_000, 12_001, 12_400), LIMITS) == [
        "pool, in its way: 12,001 instructions more than Celery alone, 12,000 allowed"
    ]


def test_a_python_that_needs_more_for_everything_may_need_more_for_us() -> None:
    """Celery alone is the yardstick: a limit grows and shrinks with it."""
    assert quick.excesses(found(220_000, 13_100, 13_700), LIMITS) == []
    assert len(quick.excesses(found(180_000, 11_000, 11_500), LIMITS)) == 2


def test_new_limits_leave_room_over_what_was_found() -> None:
    measured = found(200_000, 10_000, 10_500)
    limits = quick.limits_from(measured)
    assert limits["places"] == {"pool": {"bare": 200_000, "hot": 11_200, "all": 11_760}}
    assert quick.excesses(measured, limits) == []
