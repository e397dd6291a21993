"""What do a broker and its workers say at this moment?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from otel_celery.queues import BrokerReading, QueueReading
from otel_celery.queues.once import Answer, Question
from otel_celery.queues.poller import be_impatient, broker_errors, give_up
from otel_celery.worker import pool_type


@dataclass(frozen=True)
class Worker:
    """What a worker said of itself. None: it did not say."""

    worker: str
    pid: int | None
    uptime: float | None
    pool: str | None
    concurrency: int | None
    prefetch: int | None
    tasks: Mapping[str, int]
    """How many it has taken to run, by name, since it started."""


@dataclass(frozen=True)
class Snapshot:
    """All of it."""

    at: float  # Unix seconds
    broker: Answer
    workers: Sequence[Worker] | None
    """Those that answered in time, None when none was asked."""
    error: str | None = None
    """Class of the error that kept workers from being asked."""

    @property
    def answered(self) -> bool:
        return self.broker.error is None and self.error is None

    @property
    def queues(self) -> list[QueueReading]:
        return [one for one in self.broker.readings if isinstance(one, QueueReading)]

    @property
    def unacked(self) -> int | None:
        """Of all queues together, where a broker knows it only so."""
        whole = [one.unacked for one in self.broker.readings if isinstance(one, BrokerReading)]
        return whole[0] if whole else None

    @property
    def tasks(self) -> list[tuple[str, int]]:
        """How many the workers have taken to run, the busiest task first."""
        taken: Counter[str] = Counter()
        for one in self.workers or ():
            taken.update(one.tasks)
        return sorted(taken.items(), key=lambda item: (-item[1], item[0]))

    def as_dict(self) -> dict[str, Any]:
        """Return what goes out as JSON."""
        broker = self.broker
        asked = self.workers is not None
        return {
            "at": round(self.at, 3),
            "broker": {
                "system": broker.system,
                "seconds": broker.seconds and round(broker.seconds, 4),
                "error": broker.error or self.error,
                "unacked": self.unacked,
            },
            "queues": [asdict(one) for one in self.queues],
            "workers": [asdict(one) for one in self.workers] if self.workers is not None else None,
            "tasks": [{"task": name, "taken": n} for name, n in self.tasks] if asked else None,
        }


class Look:
    """Looks at a broker and its workers each time that it is told to.

    Args:
        app: whose broker, whose queues, and whose workers.
        queues: further ones.
        timeout: seconds for an answer of the broker, and to wait for those of workers.
        ask_workers: whether to send them a message, one for all.
        clock: Unix seconds.
    """

    def __init__(
        self,
        app: Any,
        queues: Sequence[str] = (),
        timeout: float = 1.0,
        *,
        ask_workers: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._timeout, self._clock = app, timeout, clock
        self._question = Question(app, queues, timeout)
        self._ask_workers = ask_workers

    def __call__(self) -> Snapshot:
        answer, now = self._question.ask(), self._clock()
        if answer.error is not None or not self._ask_workers:
            return Snapshot(now, answer, None)
        connection = self._app.connection_for_write()
        be_impatient(connection, self._timeout + 1.0)  # a second more than workers have
        try:
            with connection:
                connection.ensure_connection(errback=give_up, reraise_as_library_errors=False)
                return Snapshot(now, answer, self._workers(connection))
        except broker_errors(connection) as fault:
            return Snapshot(now, answer, None, type(fault).__name__)

    def _workers(self, connection: Any) -> list[Worker]:
        asked = self._app.control.inspect(timeout=self._timeout, connection=connection)
        return [worker_of(name, said) for name, said in sorted((asked.stats() or {}).items())]


def worker_of(name: str, said: Mapping[str, Any]) -> Worker:
    """Return what `inspect stats` says of a worker."""
    pool = said.get("pool") or {}
    implementation = pool.get("implementation")
    return Worker(
        name,
        said.get("pid"),
        said.get("uptime"),
        pool_type(implementation) if isinstance(implementation, str) else None,
        pool.get("max-concurrency"),
        said.get("prefetch_count"),
        said.get("total") or {},
    )
