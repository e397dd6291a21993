from __future__ import annotations

import pytest

from otel_celery.view import history as module
from otel_celery.view.history import SPAN, STEP, STEPS, History, Key, add_lines, ends

KEY = Key("task", "pay", "ended")
NOW = 1_000_000.0  # a whole number of steps


def test_steps_stay_where_they_are_while_time_goes_on():
    assert ends(NOW + STEP - 0.1) == ends(NOW)
    assert ends(NOW)[-1] == NOW
    assert len(ends(NOW)) == STEPS


def test_a_rate_is_the_slope_between_readings_however_far_apart():
    history = History()
    history.note(KEY, NOW - 20, 0)
    history.note(KEY, NOW - 5, 30)
    assert history.rates(KEY, NOW)[-5:] == [None, 2.0, 2.0, 2.0, None]


def test_readings_twice_at_one_time_are_one():
    history = History()
    for value in (0, 7):
        history.note(KEY, NOW - 5, value)
    history.note(KEY, NOW, 5)
    assert history.rates(KEY, NOW)[-1] == 1.0


def test_a_level_stands_until_it_is_not_fresh_any_more():
    history = History()
    history.note(KEY, NOW - 20, 3)
    assert history.levels(KEY, NOW, fresh=10)[-6:] == [None, 3, 3, 3, None, None]


def test_what_nobody_notes_is_not_known():
    history = History()
    assert history.rates(KEY, NOW) == history.levels(KEY, NOW, 10) == [None] * STEPS


def test_what_is_too_old_to_be_looked_at_is_forgotten(monkeypatch):
    monkeypatch.setattr(module, "MAX_LINES", 1)
    history = History()
    history.note(KEY, NOW, 1)
    other = Key("task", "ship", "ended")
    history.note(other, NOW, 1)
    assert history.levels(other, NOW, 10)[-1] is None, "there was no room for it"
    history.forget(NOW + 2 * SPAN)
    history.note(other, NOW + 2 * SPAN, 4)
    assert history.levels(other, NOW + 2 * SPAN, 10)[-1] == 4


@pytest.mark.parametrize(
    ("lines", "total"),
    [
        pytest.param([], None, id="none"),
        pytest.param([[1.0] * STEPS, [None] * STEPS], 1.0, id="one-known"),
        pytest.param([[1.0] * STEPS, [2.0] * STEPS], 3.0, id="both"),
    ],
)
def test_lines_add_up_where_they_are_known(lines, total):
    assert add_lines(lines) == [total] * STEPS
