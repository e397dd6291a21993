from __future__ import annotations

import pytest

from otel_celery.view.waterfall import Bar, is_complete, lay_out, pick
from tests.unit.cli_wire import ORDER, span

CALLER, PUBLISH, PROCESS, BANK = ORDER


def by_id(*spans):
    return {one.span_id: one for one in spans}


@pytest.mark.parametrize(
    ("spans", "complete"),
    [
        pytest.param(ORDER, True, id="caller-publish-process"),
        pytest.param((PUBLISH, PROCESS), False, id="no-caller"),
        pytest.param((CALLER, PUBLISH), False, id="not-processed"),
        pytest.param((CALLER, PROCESS), False, id="no-publish"),
        pytest.param((CALLER._replace(parent_id="f" * 16), PUBLISH, PROCESS), False, id="no-root"),
    ],
)
def test_a_trace_is_complete_from_caller_to_task(spans, complete):
    assert is_complete(by_id(*spans)) is complete


def test_the_trace_that_shows_most_is_picked():
    small = by_id(CALLER, PUBLISH, PROCESS)
    incomplete = by_id(*(span(i, f"s{i}", "internal", (0, 1), trace=9) for i in range(1, 20)))
    assert pick([small, by_id(*ORDER), incomplete]) == list(ORDER)


def test_without_a_complete_trace_nothing_is_picked():
    assert pick([by_id(CALLER, PUBLISH)]) == []


def test_the_earlier_of_equal_traces_stays_in_the_picture():
    later = tuple(
        one._replace(trace_id="2" * 32, start=one.start + 1, end=one.end + 1) for one in ORDER
    )
    assert pick([by_id(*later), by_id(*ORDER)]) == list(ORDER)


def test_children_stand_below_their_parent_by_start():
    other = span(5, "publish mail", "producer", (0.004, 0.006), parent=1)
    bars = lay_out([BANK, other, PROCESS, PUBLISH, CALLER])
    assert [(bar.span.name, bar.depth) for bar in bars] == [
        ("POST /orders/invoice", 0),
        ("publish pay", 1),
        ("process pay", 2),
        ("ask the bank", 3),
        ("publish mail", 1),
    ]


def test_bars_are_shares_of_the_whole_trace():
    whole = span(1, "a", "server", (0.0, 2.0))
    half = span(2, "b", "internal", (1.0, 1.5), parent=1)
    assert lay_out([whole, half]) == [Bar(whole, 0, 0.0, 1.0), Bar(half, 1, 0.5, 0.75)]


def test_a_span_whose_parent_is_missing_is_still_drawn():
    assert [bar.depth for bar in lay_out([PROCESS, BANK])] == [0, 1]


def test_a_span_without_length_is_a_point():
    instant = span(1, "a", "server", (0.0, 0.0))
    assert lay_out([instant]) == [Bar(instant, 0, 0.0, 0.0)]


def test_nothing_to_lay_out_is_no_lines():
    assert lay_out([]) == []
