"""Which messages are sent, and which faults happen when? All of it follows from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

COMMON = (
    "quick", "quick", "quick", "late", "late", "fails", "retries", "ignores", "rejects",
    "requeues", "publishes", "eta",
)  # fmt: skip
"""Half of a percent and more each: what costs little."""

RARE: Mapping[str, float] = {
    "naps": 0.01, "naps_late": 0.01, "soft": 0.004, "hard": 0.004, "dies": 0.008,
    "dies_once": 0.008, "exits": 0.004, "long": 0.002, "expired": 0.02, "unknown": 0.01,
    "undecodable": 0.005, "revoked": 0.02,
}  # fmt: skip
"""Share of all messages; at least one of each."""


def messages(seed: int, number: int) -> list[str]:
    """Return what to send, in order."""
    rng = random.Random(seed)
    chosen = [kind for kind, share in RARE.items() for _ in range(max(1, round(share * number)))]
    chosen += [rng.choice(COMMON) for _ in range(number - len(chosen))]
    rng.shuffle(chosen)
    return chosen


class Fault(NamedTuple):
    """What is done to the processes, once so much of the plan has been received."""

    after: float  # share of the messages
    kind: str


def faults(seed: int, number: int, kinds: Mapping[str, float]) -> list[Fault]:
    """Return the faults in order.

    Args:
        seed: the one of the messages.
        number: of messages.
        kinds: how often each happens in 1,000 messages; at least once each.
    """
    rng = random.Random(f"faults of {seed}")
    return sorted(
        Fault(rng.uniform(0.05, 0.9), kind)
        for kind, often in kinds.items()
        for _ in range(max(1, round(often * number / 1000)))
    )
