"""How does the heartbeat of a worker's loop reach the file that probes read?

By a thread that does nothing else: a disk that hangs holds up neither the loop nor the telemetry,
and a broker or Collector that is silent does not make the worker look dead.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from celery import bootsteps

from otel_celery.courier import Courier
from otel_celery.guard import Guard, logger
from otel_celery.heartbeat import HeartbeatFile
from otel_celery.vitals import Vitals

_EVERY = 5.0  # seconds between two looks at the heartbeat
_LONGEST_STOP = 1.0  # seconds that a disk may hold up a stop


class Alive:
    """Carries heartbeats from a worker's vitals to its file.

    Args:
        app: of the worker, of which nothing has started yet.
        name: of the worker.
        vitals: of the same worker.
        guard: keeps faults.
        clock: Unix seconds.
    """

    def __init__(
        self,
        app: Any,
        name: str,
        vitals: Vitals,
        guard: Guard,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._file, self._vitals, self._clock = app, HeartbeatFile(name), vitals, clock
        self._faults = guard.faults
        self._over = self._hidden = False
        self._pid = os.getpid()
        self._courier = Courier(guard.report, name="otel-celery-heartbeat")
        self.changed = self._courier.every(_EVERY, self.show)
        """Say that there is news for the file; takes no time."""
        self._step = _step(guard("heartbeat", self.start))
        app.steps["worker"].add(self._step)

    def start(self) -> None:
        """Show life from now on."""
        self._courier.start()
        self.changed()

    def stop(self) -> None:
        """Remove the file, unless the disk hangs: then it goes stale. A fork leaves it alone."""
        if os.getpid() != self._pid:
            return
        self._app.steps["worker"].discard(self._step)
        self._over = True
        self._courier.flush(_LONGEST_STOP)
        self._courier.stop()

    def show(self, deadline: float) -> None:
        """Bring the file up to date; for a courier."""
        try:
            if self._over:
                self._file.remove()
            else:
                vitals = self._vitals
                self._file.show(vitals.alive_at(self._clock()), connected=vitals.connected)
            self._hidden = False
        except OSError as why:  # a full disk, or one that may not be written
            if not self._hidden:
                self._faults["heartbeat file"] += 1  # once, however long it lasts
                logger.warning("otel-celery: `otel-celery health` cannot see this worker: %s", why)
            self._hidden = True


def _step(started: Callable[[], object]) -> type:
    """Return a step of the worker that comes after its forks, and before it needs its broker."""

    class SignOfLife(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.components:Pool", "celery.worker.components:Beat")

        def start(self, worker: Any) -> None:
            started()

        def stop(self, worker: Any) -> None:
            """Tasks may still run: life is shown until the worker has stopped."""

    return SignOfLife
