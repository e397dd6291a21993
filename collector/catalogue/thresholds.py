"""From when on is a number bad? Every threshold of the alerts, in one table.

Change a row, run `make docs`, load the rules. Names of queues, tasks and services are anchored
regular expressions, as in Prometheus.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.catalogue.rules import CRITICAL, INFO, WARNING


@dataclass(frozen=True)
class Depth:
    """How many ready messages a queue may hold for 10 minutes."""

    queue: str
    above: int
    severity: str


DEAD_LETTERS = ".*(dlq|dead.?letters?).*"
"""Queues where messages wait for people, not for workers."""

NAMED_QUEUES = ("critical", "default")
"""Queues with rows of their own; the others share the rows of `OTHER_QUEUES`."""

OTHER_QUEUES = ""

DEPTHS = (
    Depth(OTHER_QUEUES, 100, INFO),
    Depth(OTHER_QUEUES, 1000, WARNING),
    Depth(OTHER_QUEUES, 5000, CRITICAL),
    Depth("critical", 100, CRITICAL),
    Depth("default", 5000, WARNING),
    Depth("default", 20000, CRITICAL),
    Depth(DEAD_LETTERS, 100, WARNING),
)

CRITICAL_TASKS = "(.*[.])?(payment|charge).*"
"""Tasks of which one final failure wakes somebody."""

LONG_TASKS = "celery[.].*"
"""Tasks that may be slow: no alert about their duration, only about running longer than ever."""

EXPECTED_WORKERS: dict[str, int] = {}
"""service.name -> workers that must be online. 0: it may scale to none, and that is no outage.
A service without a row is compared with its own last day."""

VISIBILITY_TIMEOUT = 3600
"""Seconds after which Redis or SQS deliver once more: broker_transport_options."""

FAILURES = ((0.05, WARNING, "10m"), (0.20, CRITICAL, "5m"))
SUCCESS, RETRIES, TIMEOUTS = 0.95, 0.10, 0.01
MEAN_SECONDS, P95_SECONDS = 60, 300
WAIT_SECONDS, STALLED_SECONDS = 60, 300
GROWTH_PER_SECOND = 10
REJECTED_PER_HOUR = 100
CPU, MEMORY = 0.90, 0.85
VOLUME = 20
"""A ratio of fewer deliveries than this in its window says nothing."""

BAD = 3
"""Fewer bad events than this are no burn, however rare the others are."""

BEAT_SECONDS = 360
"""beat sleeps for up to beat_max_loop_interval, 300 s, between two turns of its loop."""

BEAT_LATE_SECONDS = 30
BACKLOG = 5000
"""Facts that a worker's background thread has not spoken yet; a normal slice is some hundred."""

QUEUE_FULL = 0.80
"""Share of a Collector exporter's sending queue."""
