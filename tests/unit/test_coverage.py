"""Is each thing that teams ask for somewhere, as docs/coverage.yaml says?

The page itself is held against its data by test_docs.py, links and headings too.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from otel_celery import conventions as c
from tests import covered

EVERY = list(covered.asked())
each = pytest.mark.parametrize("one", EVERY, ids=[one.id for one in EVERY])
GUIDES = {"A": 37, "B": 19, "C": 40, "D": 22, "E": 19}


def test_each_id_is_there_once() -> None:
    written = re.findall(r"^(\w+):$", covered.DATA.read_text(), re.MULTILINE)
    assert written == [f"{guide}{n}" for guide, last in GUIDES.items() for n in range(1, last + 1)]
    assert list(GUIDES) == list(covered.GUIDES)


@each
def test_what_it_names_exists(one: covered.Asked) -> None:
    for name in one.see:
        covered.link(name)
    for proof in one.proof:
        covered.shown(proof)


@each
def test_what_is_claimed_is_shown_and_what_is_missing_is_said(one: covered.Asked) -> None:
    assert one.is_ in covered.IS
    if one.is_ == "covered":
        assert one.see
    else:
        assert one.how
    assert bool(one.proof) == (one.is_ in ("covered", "partly"))


@pytest.mark.parametrize(
    ("lookup", "name"),
    [
        pytest.param(covered.link, "celery.queue.height", id="metric"),
        pytest.param(covered.link, "CeleryTooHappy", id="alert"),
        pytest.param(covered.link, "celery:joy", id="rule"),
        pytest.param(covered.link, "Overview / Joy", id="panel"),
        pytest.param(covered.link, "otel-celery joy", id="command"),
        pytest.param(covered.link, "joy.md#found", id="page"),
        pytest.param(covered.link, "file:collector/joy.yaml", id="file"),
        pytest.param(covered.shown, "unit/test_coverage.py::test_joy", id="test"),
        pytest.param(covered.shown, "unit/test_joy.py::test_each_id_is_there_once", id="test-file"),
    ],
)
def test_what_does_not_exist_is_noticed(lookup: Callable[[str], str], name: str) -> None:
    with pytest.raises(KeyError, match=re.escape(name)):
        lookup(name)


def test_bounds_that_teams_use_are_among_ours() -> None:
    """A histogram with their bounds can be made of ours: A11 and B6."""
    theirs = {0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600}
    assert theirs <= set(c.PROCESS_DURATION.buckets)
