"""Which faults are tried, what is done for real, and what do we promise?

In words for the page in the docs. `fault(id)` marks the tests of each; what cannot be injected on
one machine's loopback says why in `untried`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Fault(NamedTuple):
    """One row of the promise."""

    id: str
    name: str
    injected: str
    promised: str
    untried: str = ""


COLLECTOR: tuple[Fault, ...] = ()

BROKER: tuple[Fault, ...] = ()

PROCESSES = (
    Fault(
        "recycled-at-every-task",
        "Every pool process runs one task and ends",
        "200 tasks with `--max-tasks-per-child 1`, each with a child span of its own",
        "every process span and every child span arrives, each outcome is counted once, "
        "and the number of series does not grow with the number of pool processes",
    ),
)

FORKS: tuple[Fault, ...] = ()

CONTENTS: tuple[Fault, ...] = ()

MESSAGES: tuple[Fault, ...] = ()

COMPANY: tuple[Fault, ...] = ()

SECRETS: tuple[Fault, ...] = ()

TOGETHER: tuple[Fault, ...] = ()

GROUPS: Mapping[str, tuple[Fault, ...]] = {
    "The Collector": COLLECTOR,
    "Broker and result backend": BROKER,
    "Processes that end": PROCESSES,
    "Forks and signals": FORKS,
    "Clocks, sizes and texts": CONTENTS,
    "Messages of others": MESSAGES,
    "Other software in the process": COMPANY,
    "Secrets and strangers": SECRETS,
    "Everything at once": TOGETHER,
}
FAULTS = tuple(fault for group in GROUPS.values() for fault in group)
