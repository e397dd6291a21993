"""Who does the work that may have to wait for a network?"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from opentelemetry.instrumentation.utils import suppress_instrumentation

Work: TypeAlias = "Callable[[float], float | None]"
"""Called with a deadline on the monotonic clock, `math.inf` when nobody waits for it.

Returns the instant at which to be called again, None for the usual interval.
"""

_drawn = random.SystemRandom().random  # `random.seed` of an application would make all alike


class _Job:
    def __init__(self, interval: float, work: Work, due: float) -> None:
        self.interval = interval
        self.work = work
        self.due = due
        self.again = False  # it asked for more time than its interval gives


class _Flush:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.done = threading.Event()
        self.complete = False


class Courier:
    """A thread that touches the network; its jobs run one after the other.

    Nothing done here makes spans: instrumentation is suppressed. The owner starts it after the
    last fork it knows of; a forked child calls `forget`.

    Args:
        report: told the place and the exception of a job that failed; the thread goes on.
        clock: monotonic seconds.
        name: of the thread.
        jitter: 0 to under 1, how much of its interval a job's first run is early: processes that
            start at once do not send at once.
    """

    def __init__(
        self,
        report: Callable[[str, BaseException], object],
        clock: Callable[[], float] = time.monotonic,
        name: str = "otel-celery-courier",
        jitter: Callable[[], float] = _drawn,
    ) -> None:
        self._report = report
        self._clock = clock
        self._jitter = jitter
        self._name = name
        self.forget()

    def forget(self) -> None:
        """Be as new: in a forked child, neither the thread nor what the jobs use is there."""
        self._jobs: list[_Job] = []
        self._flushes: list[_Flush] = []
        self._starting = threading.Lock()
        self._alarm = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def every(self, interval: float, work: Work) -> Callable[[], None]:
        """Run work each `interval` seconds, first within one; the returned call has it run at once.

        Where a job falls in its interval is drawn once and then kept.
        """
        job = _Job(interval, work, self._clock() + interval * (1 - self._jitter()))
        self._jobs.append(job)

        def now() -> None:
            job.due = -math.inf
            self._alarm.set()

        self._alarm.set()
        return now

    def start(self) -> None:
        """Start the thread, unless it runs already."""
        with self._starting:
            if self._thread is not None and not self._stopping.is_set():
                return
            # A thread that is still about to stop keeps its own events and disturbs nobody.
            self._alarm, self._stopping = threading.Event(), threading.Event()
            thread = threading.Thread(
                target=self._run,
                args=(self._alarm, self._stopping),
                name=self._name,
                daemon=True,
            )
            thread.start()
            self._thread = thread

    def flush(self, timeout: float) -> bool:
        """Run all jobs a last time; the caller waits no longer than `timeout` seconds.

        Returns:
            Whether every job came to its end in time, without a fault, with nothing left to do.
        """
        flush = _Flush(self._clock() + timeout)
        self._flushes.append(flush)
        try:
            self.start()
        except RuntimeError:  # the interpreter is going down and starts no threads any more
            self.tick()
        self._alarm.set()
        flush.done.wait(timeout)
        return flush.complete

    def stop(self, timeout: float = 0.0) -> bool:
        """End the thread; False if it was still at work after `timeout` seconds."""
        self._stopping.set()
        self._alarm.set()
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def tick(self) -> float:
        """Do what is due; return the seconds until something is. For the thread and for tests."""
        with suppress_instrumentation():
            while self._flushes:
                self._finish(self._flushes.pop(0))
            for job in list(self._jobs):
                if job.due <= self._clock():
                    self._attempt(job, math.inf)
        due = min((job.due for job in self._jobs), default=math.inf)
        return max(0.0, due - self._clock())

    def _run(self, alarm: threading.Event, stopping: threading.Event) -> None:
        while not stopping.is_set():
            pause = self.tick()
            alarm.wait(min(pause, threading.TIMEOUT_MAX))
            alarm.clear()

    def _finish(self, flush: _Flush) -> None:
        jobs, clean = list(self._jobs), True
        while jobs:
            for job in jobs:
                clean = self._attempt(job, flush.deadline) and clean
            jobs = [job for job in jobs if job.again]
            due = min((job.due for job in jobs), default=math.inf)
            now = self._clock()
            if max(due, now) >= flush.deadline:
                break
            flush.done.wait(due - now)  # nobody sets it before us: a sleep
        flush.complete = clean and not jobs
        flush.done.set()

    def _attempt(self, job: _Job, deadline: float) -> bool:
        """Run one job; False when it raised."""
        started = self._clock()
        job.due, job.again = started + job.interval, False
        try:
            again = job.work(deadline)
        except Exception as fault:  # noqa: BLE001 - one job's fault must not end the others
            self._report(getattr(job.work, "__qualname__", repr(job.work)), fault)
            return False
        if again is not None:
            job.due, job.again = again, True
        return True
