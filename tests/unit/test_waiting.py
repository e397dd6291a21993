"""`eventually` must be able to fail, else every test that waits is worthless."""

from __future__ import annotations

import pytest

from tests.waiting import eventually


def test_the_first_true_value_is_returned():
    """Earlier answers that are false or that assert mean "not yet"."""
    answers = iter([0, AssertionError("not yet"), 7, 8])

    def check():
        answer = next(answers)
        if isinstance(answer, AssertionError):
            raise answer
        return answer

    assert eventually(check, timeout=5, every=0) == 7


def test_a_check_without_a_value_ends_the_wait_when_it_stops_asserting():
    """`def check(): assert ...` is a whole check."""
    answers = iter([False, True])

    def check():
        assert next(answers)

    assert eventually(check, timeout=5, every=0) is None


def test_a_check_that_stays_false_fails_with_its_last_value():
    """The message says how long, and what was seen."""
    with pytest.raises(AssertionError, match=r"after 0\.0 s still \[\]"):
        eventually(lambda: [], timeout=0.0, every=0)


def test_a_check_that_keeps_asserting_fails_with_its_own_words():
    """The assertion of the check is the one that is seen."""

    def check():
        raise AssertionError("two of three")

    with pytest.raises(AssertionError, match="two of three"):
        eventually(check, timeout=0.01, every=0)


def test_other_exceptions_of_a_check_are_not_waited_over():
    """A broken check fails at once."""
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0, timeout=5, every=0)
