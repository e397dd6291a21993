"""What do the queues of a broker say at this moment, for who asks once?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from otel_celery.queues.poller import QueuePoller, built_in_readers
from otel_celery.queues.reading import QueueReader, Reading

_ALWAYS_DUE = 1e-9  # seconds between two rounds


@dataclass(frozen=True)
class Answer:
    """What a broker answered."""

    system: str
    """`messaging.system`."""
    seconds: float | None
    """How long it took; None where there is no reader for such a broker: it was not asked."""
    error: str | None
    """Class of the error that ended it. Its words may hold an address with a password."""
    readings: Sequence[Reading]


class Question:
    """Asks the broker of an app each time that it is told to.

    Args:
        app: whose broker, and whose queues.
        queues: further ones.
        timeout: seconds that a connect or one answer of the broker may take.
        readers: of the application; asked before the built-in ones.
    """

    def __init__(
        self,
        app: Any,
        queues: Iterable[str] = (),
        timeout: float = 1.0,
        readers: Sequence[QueueReader] = (),
    ) -> None:
        self._seconds: float | None = None
        self._error: str | None = None
        self._poller = QueuePoller(
            app,
            [*readers, *built_in_readers()],
            queues,
            _ALWAYS_DUE,
            timeout,
            on_probe=self._probed,
        )

    def ask(self) -> Answer:
        """Read all queues, over the connection of the last time where that has held."""
        self._seconds = self._error = None
        self._poller.poll(time.monotonic())
        readings = self._poller.latest
        return Answer(self._poller.system, self._seconds, self._error, readings)

    def close(self) -> None:
        self._poller.close()

    def _probed(self, seconds: float, error: str | None, system: str) -> None:
        self._seconds, self._error = seconds, error
