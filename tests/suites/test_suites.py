"""What is a test that the two sides do not agree on, and does any fail only with us?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.suites.compare import (
    ABSENT,
    FLAKY,
    MOST,
    ONCE,
    ONLY_WITH_US,
    OTHERWISE,
    differences,
    judged,
    verdict,
)
from tests.suites.parts import SUITES, Suite
from tests.suites.results import kept


@pytest.mark.parametrize(
    ("alone", "ours", "expected"),
    [
        pytest.param(["passed"] * 4, ["failed"] * 4, ONLY_WITH_US, id="always-with-us"),
        pytest.param(["passed"] * 4, ["failed", "passed", "failed", "passed"], ONLY_WITH_US,
                     id="now-and-then-with-us"),
        pytest.param(["passed"], ["failed"], ONLY_WITH_US, id="not-run-again"),
        pytest.param(["passed", "failed", "passed", "passed"], ["failed", "passed", "passed",
                     "passed"], FLAKY, id="now-and-then-without-us"),
        pytest.param(["failed"], ["passed"], FLAKY, id="once-without-us"),
        pytest.param(["passed"] * 4, ["failed", "passed", "passed", "passed"], ONCE, id="once"),
        pytest.param(["passed"], ["skipped"], OTHERWISE, id="skipped-with-us"),
    ],
)  # fmt: skip
def test_a_difference_has_one_verdict(alone: list[str], ours: list[str], expected: str) -> None:
    assert verdict(alone, ours) == expected


def test_only_what_differs_is_run_again() -> None:
    asked = []

    def again(test: str) -> Iterator[tuple[str, str]]:
        asked.append(test)
        yield "passed", "failed"

    alone = {"same": "failed", "worse": "passed", "gone": "passed"}
    ours = {"same": "failed", "worse": "failed"}
    found = differences(alone, ours)
    assert found == {"worse": ("passed", "failed"), "gone": ("passed", ABSENT)}
    assert judged(found, again)["worse"] == {
        "alone": ["passed", "passed"],
        "ours": ["failed", "failed"],
        "verdict": ONLY_WITH_US,
    }
    assert asked == ["gone", "worse"]


def test_many_differences_have_one_cause() -> None:
    """They are not all run again."""
    asked: list[str] = []
    found = {str(number): ("passed", "failed") for number in range(MOST + 5)}
    told = judged(found, lambda test: [asked.append(test) or ("passed", "failed")])
    assert len(asked) == MOST
    assert {what["verdict"] for what in told.values()} == {ONLY_WITH_US}


@pytest.mark.parametrize("suite", SUITES)
def test_no_test_of_celery_fails_only_with_us(suite: Suite) -> None:
    """In the runs that the page is made from; and no hook of ours raised."""
    for found in kept(suite)["parts"].values():
        verdicts = {name: what["verdict"] for name, what in found["differ"].items()}
        assert ONLY_WITH_US not in verdicts.values(), verdicts
        assert found["faults"] == 0
