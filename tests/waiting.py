"""How does a test wait for what happens elsewhere? With a deadline, never with a nap."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], timeout: float = 60.0, every: float = 0.02) -> T:
    """Return the first true value of `check`, which is asked again and again.

    An `AssertionError` inside `check` means "not yet", so that it may assert as any test does.
    A check that ends without a value has nothing left to complain about: that counts as true.

    Args:
        check: asked at least twice: at once, and when the time is over.
        timeout: seconds until the last answer must be true.
        every: seconds between two questions.

    Raises:
        AssertionError: the last one of `check`, or one that shows its last value.
    """
    deadline = time.monotonic() + timeout
    while True:
        last_chance = time.monotonic() >= deadline
        try:
            value = check()
        except AssertionError:
            if last_chance:
                raise
        else:
            if value or value is None:
                return value
            if last_chance:
                raise AssertionError(f"after {timeout} s still {value!r}")
        time.sleep(every)
