"""Does a test fail with us that passes without us? What differs is run again first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

TRIES = 3
MOST = 20  # tests that are run again; more of them have one cause
ABSENT = "not run"

ONLY_WITH_US = "fails only with us"
FLAKY = "flaky without us"
ONCE = "passed with us when run again"
OTHERWISE = "differs"


def differences(alone: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return what both sides told of the tests that they do not agree on."""
    tests = sorted(alone.keys() | ours.keys())
    told = {test: (alone.get(test, ABSENT), ours.get(test, ABSENT)) for test in tests}
    return {test: pair for test, pair in told.items() if pair[0] != pair[1]}


def verdict(alone: Sequence[str], ours: Sequence[str]) -> str:
    """Say what a test is that the two sides did not agree on.

    Args:
        alone: what became of it without us, in the suite and when run again.
        ours: the same with us.
    """
    if "failed" in alone:
        return FLAKY
    if "failed" not in ours:
        return OTHERWISE
    return ONLY_WITH_US if not ours[1:] or "failed" in ours[1:] else ONCE


def judged(
    found: Mapping[str, tuple[str, str]], again: Callable[[str], Iterable[tuple[str, str]]]
) -> dict[str, dict[str, Any]]:
    """Return what each test is that differs.

    Args:
        found: by `differences`.
        again: runs a test again on both sides, several times.
    """
    told = {}
    for number, (test, pair) in enumerate(found.items()):
        pairs = [pair, *(again(test) if number < MOST else ())]
        alone, ours = [one for one, _ in pairs], [one for _, one in pairs]
        told[test] = {"alone": alone, "ours": ours, "verdict": verdict(alone, ours)}
    return told
