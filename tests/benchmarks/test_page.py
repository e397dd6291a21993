"""Do page and picture show what was measured, and nothing else?"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import page, plot, results
from benchmarks.peers import LOCKS, SIDES
from benchmarks.sides import SIDES as SWITCHES

COUNTED: dict[str, Any] = {
    "sides": {"bare": "5.7.0", "ours": "1", "elastic-apm": "6"},
    "missing": {"ddtrace": "no wheel"},
    "measured": {
        place: {
            "bare": {"hot": 200_000, "all": 200_100},
            "ours": {"hot": 212_345, "all": 213_100},
            "elastic-apm": {"hot": 400_000, "all": 500_100},
        }
        for place in ("publish", "main", "pool")
    },
}
ROUNDS = [
    {"round": number, "side": side, "place": "pool", "hot": hot, "all": hot}
    for number, pair in enumerate([(10.0, 11.0), (30.0, 33.0), (20.0, 29.0)])
    for side, hot in zip(("bare", "ours"), pair, strict=True)
]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "kept", lambda part: COUNTED if part == "instructions" else None)


def test_the_picture_is_what_was_measured() -> None:
    """`make docs` would change nothing."""
    kept = results.kept("instructions")
    assert kept is not None
    assert plot.PATH.read_text() == plot.drawn(kept)


@pytest.mark.usefixtures("measured")
def test_a_side_is_shown_by_what_it_adds() -> None:
    rows = page.instructions().splitlines()
    assert rows[2] == "| otel-celery |" + " 12,345 | 13,000 |" * 3
    assert rows[3] == "| Elastic APM |" + " 200,000 | 300,000 |" * 3


@pytest.mark.usefixtures("measured")
def test_a_side_that_could_not_be_measured_is_named_with_the_reason() -> None:
    assert "Datadog was not measured: no wheel" in page.instructions()


@pytest.mark.usefixtures("measured")
def test_what_was_not_measured_is_said_to_be_so() -> None:
    assert page.load() == page.memory() == page.NOT_YET


def test_sides_are_compared_within_a_round() -> None:
    """A slow round is slow for all: the median is over differences, not over times."""
    assert results.paired(ROUNDS, "hot", "ours") == 3.0


def test_each_side_can_be_switched_on_and_installed() -> None:
    locks = {side.lock for side in SIDES.values() if side.lock}
    assert set(SIDES) == set(SWITCHES)
    assert {path.stem for path in LOCKS.glob("*.txt")} == locks
    assert all("--hash=sha256:" in path.read_text() for path in LOCKS.glob("*.txt"))
