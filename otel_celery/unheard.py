"""Main: what became of the deliveries that a pool process had been given, but Celery forgot?

When the connection is lost or the worker stops, Celery drops whatever has not said that it began:
the broker sends it again. A job that is in a process's pipe by then runs all the same, and from
Celery 5.7 on nobody listens to what is said of it. We do, so that what runs is told.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from otel_celery import seams
from otel_celery.delivery import Deliveries
from otel_celery.facts import Delivery
from otel_celery.outcome import HowEnded
from otel_celery.request import settle_returned


class Unheard:
    """Jobs that were on their way into a pool process when the connection was lost."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._jobs: dict[int, tuple[Any, Any]] = {}  # Request and process, by number of the job
        self._hear = deliveries.guard("unheard", self._heard)
        self._read = deliveries.guard("unheard", self._read_rest)

    def note(self, pool: Any) -> Collection[Delivery]:
        """Take what is on its way, before Celery drops it, and listen to what is said of it."""
        self._jobs.update(
            (job, (request, process))
            for job, request, process in seams.jobs_on_their_way(pool)
            if getattr(request, "_otel", None) is not None
        )
        seams.overhear(pool, self._jobs, self._hear)
        return {request._otel for request, _ in self._jobs.values()}

    def exited(self, pid: int) -> None:
        """A pool process is gone, and with it what it was given."""
        for job, (request, process) in list(self._jobs.items()):
            if process.pid == pid:
                del self._jobs[job]
                how = HowEnded.LOST if request._otel.begun else HowEnded.RETURNED
                self._deliveries.end(request._otel, how, time.monotonic_ns())

    def read_on(self) -> None:
        """The pool has stopped: take what its processes said last, which Celery did not read."""
        for process in {process for _, process in self._jobs.values()}:
            self._read(process)

    def _read_rest(self, process: Any) -> None:
        for word, told in seams.unread(process):
            if told and told[0] in self._jobs:
                self._heard(word, *told)

    def _heard(self, word: int, job: int, *said: Any) -> None:
        request, _ = self._jobs[job]
        if word == seams.BEGAN:
            _, accepted, pid, _ = said
            if not request._otel.begun:  # before Celery 5.7 it has heard of it itself
                self._deliveries.start(request._otel, pid, accepted)
        elif word == seams.ENDED:
            del self._jobs[job]
            _, (returned, value), _ = said
            now = time.monotonic_ns()
            if returned and settle_returned(self._deliveries, request, value, now):
                return
            self._deliveries.settle(request, request._otel, value[1] if returned else value, now)
