"""Does the broker answer in time, and how much waits in its queues?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from otel_celery.guard import Guard
from otel_celery.health.report import DEGRADED, HEALTHY, UNHEALTHY, Finding, Report
from otel_celery.queues import QueueReading
from otel_celery.queues.once import Answer, Question

EVERY_QUEUE = "*"


class BrokerHealth:
    """Asks one broker, never more often than a report is fresh, however many ask us.

    May be called from several threads, as a web server does; each of them waits `timeout` seconds
    at most. There is one connection, kept between two questions.

    Args:
        app: whose broker, and whose queues.
        queues: further ones.
        warn_depth: messages ready by queue, beyond which it is degraded; `*` for every queue.
        max_depth: likewise, beyond which it is unhealthy.
        timeout: seconds for everything: a name that is looked up, a connection, all answers.
        fresh: seconds for which a report is handed out again.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        app: Any,
        *,
        queues: Iterable[str] = (),
        warn_depth: Mapping[str, int] | None = None,
        max_depth: Mapping[str, int] | None = None,
        timeout: float = 2.0,
        fresh: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = ((UNHEALTHY, max_depth or {}), (DEGRADED, warn_depth or {}))
        self._timeout, self._fresh, self._clock = timeout, fresh, clock
        limited = (name for _, limits in self._limits for name in limits if name != EVERY_QUEUE)
        self._expected = list(dict.fromkeys((*queues, *limited)))
        self._question = Question(app, self._expected, timeout)
        self._ask = Guard()("health", self._question.ask)
        self._lock = threading.Lock()
        self._round: _Round | None = None

    def check(self) -> Report:
        """Return how broker and queues are; one that does not answer in time is unhealthy."""
        with self._lock:
            now = self._clock()
            going = self._round
            if going is None or (going.done.is_set() and now - going.began >= self._fresh):
                going = self._round = _Round(now)
                threading.Thread(
                    target=self._run, args=(going,), name="otel-celery-health", daemon=True
                ).start()
        going.done.wait(self._timeout)
        if going.report is None:
            return Report([Finding("broker", UNHEALTHY, f"no answer within {self._timeout:g} s")])
        return going.report

    def _run(self, going: _Round) -> None:
        answer = self._ask()
        going.report = Report(list(self._findings(answer)))
        going.done.set()

    def _findings(self, answer: Answer | None) -> Iterator[Finding]:
        if answer is None:
            yield Finding("broker", UNHEALTHY, "it cannot be asked; the log says why")
            return
        figures: dict[str, Any] = {"system": answer.system}
        if answer.seconds is None:
            yield Finding("broker", DEGRADED, f"no reader for {answer.system}", figures)
            return
        figures["seconds"] = round(answer.seconds, 4)
        if answer.error is not None:
            yield Finding("broker", UNHEALTHY, f"no answer: {answer.error}", figures)
            return
        took = f"answered in {answer.seconds * 1000:.0f} ms"
        yield Finding("broker", HEALTHY, took, figures)
        found = {one.queue: one for one in answer.readings if isinstance(one, QueueReading)}
        for reading in found.values():
            yield self._judge(reading)
        for name in self._expected:
            if name not in found:
                yield Finding("queue", DEGRADED, "the broker does not know it", {"queue": name})

    def _judge(self, reading: QueueReading) -> Finding:
        figures: dict[str, Any] = {"queue": reading.queue, "ready": reading.ready}
        if reading.oldest_age is not None:
            figures["oldest_age"] = round(reading.oldest_age, 3)
        if reading.consumers is not None:
            figures["consumers"] = reading.consumers
        for state, limits in self._limits:
            limit = limits.get(reading.queue, limits.get(EVERY_QUEUE))
            if limit is not None and reading.ready > limit:
                reason = f"{reading.ready} ready, more than {limit}"
                return Finding("queue", state, reason, {**figures, "limit": limit})
        return Finding("queue", HEALTHY, f"{reading.ready} ready", figures)


class _Round:
    def __init__(self, began: float) -> None:
        self.began, self.done = began, threading.Event()
        self.report: Report | None = None
