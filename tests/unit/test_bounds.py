"""Which names may series have, so that their number stays finite?"""

from __future__ import annotations

from collections import Counter

import pytest

from otel_celery.bounds import Bounds


@pytest.fixture
def overflows():
    """How often a name had to become `_OTHER`."""
    return Counter()


@pytest.fixture
def bounds(overflows):
    """Bounds small enough to reach."""
    return Bounds(lambda: overflows.update(["n"]), tasks=2, queues=1, errors=1)


def test_the_first_names_are_kept_and_all_further_ones_are_other(bounds, overflows):
    """Counted each time; a kept name stays kept."""
    assert [bounds.task(name) for name in ("a", "b", "c", "a", "c")] == [
        "a", "b", "_OTHER", "a", "_OTHER",
    ]  # fmt: skip
    assert [bounds.queue(name) for name in ("q", "r")] == ["q", "_OTHER"]
    assert overflows["n"] == 3


def test_each_task_has_room_for_errors_of_its_own(bounds):
    """A task with many errors takes nothing from its neighbour; unnamed tasks share."""
    named = [bounds.task(name) for name in ("a", "b", "c", "d")]
    assert named == ["a", "b", "_OTHER", "_OTHER"]
    told = [("a", "E1"), ("a", "E2"), ("b", "E2"), ("_OTHER", "E3"), ("d", "E4")]
    assert [bounds.error(*each) for each in told] == ["E1", "_OTHER", "E2", "E3", "_OTHER"]


def test_no_error_stays_no_error_and_other_takes_no_place(bounds, overflows):
    """None is not a name."""
    assert bounds.error("a", None) is None
    assert [bounds.task("_OTHER"), bounds.task("a"), bounds.task("b")] == ["_OTHER", "a", "b"]
    assert overflows["n"] == 0


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param("q" * 300, "q" * 255, id="long"),
        pytest.param("q\ud800", "q?", id="lone-surrogate"),
        pytest.param("", "_OTHER", id="empty"),
    ],
)
def test_a_name_that_could_spoil_a_batch_is_mended(bounds, name, kept):
    """Names come from messages."""
    assert bounds.queue(name) == kept == bounds.queue(name)


def test_the_bounds_are_those_of_the_contract(overflows):
    """200 task names, 50 queues, 30 error types."""
    bounds = Bounds(lambda: overflows.update(["n"]))
    names = [str(number) for number in range(300)]
    assert len({bounds.task(name) for name in names}) == 201
    assert len({bounds.queue(name) for name in names}) == 51
    assert len({bounds.error("0", name) for name in names}) == 31
    assert overflows["n"] == 100 + 250 + 270
