"""What do the hooks in Celery need from the process they run in?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from otel_celery.facts import Broker, Failure, Told
from otel_celery.guard import Guard
from otel_celery.queues.naming import QueueNames, messaging_system
from otel_celery.sampling import Decider

_PORTS = {"rabbitmq": 5672, "redis": 6379}


class Baggage(Protocol):
    """The two calls of a propagator that are used."""

    def inject(self, carrier: Any) -> None:
        """Write the current baggage into headers."""

    def extract(self, carrier: Any, context: Any = None) -> Any:
        """Return a context with the baggage of headers."""


class Voice(Protocol):
    """The process as its hooks see it: where facts go and who decides about sampling."""

    guard: Guard
    baggage: Baggage | None

    @property
    def structure(self) -> str:
        """What becomes of the context in a message: parent, link or ignore."""

    @property
    def tell(self) -> Callable[[Told], None]:
        """Take a fact; an append, never more."""

    @property
    def decide(self) -> Decider:
        """Decide whether a span is kept."""


class Brokers:
    """What each app's broker is, and what its queues are called; looked at once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Broker, QueueNames]] = {}

    def of(self, app: Any) -> tuple[Broker, QueueNames]:
        """Return the broker of `app` and what names its queues."""
        entry = self._known.get(id(app))
        if entry is None:  # the entry keeps the app alive, and so its id taken
            entry = self._known[id(app)] = (app, _look(app), QueueNames(app.amqp))
        return entry[1], entry[2]


def _look(app: Any) -> Broker:
    connection = app.connection_for_write()  # lazy: connects to nothing
    transport = connection.transport_cls
    system = messaging_system(
        transport if isinstance(transport, str) else connection.transport.driver_type
    )
    if system not in _PORTS:  # "host" may be a path or an account there
        return Broker(system, "", 0)
    return Broker(
        system, connection.hostname or "localhost", int(connection.port or _PORTS[system])
    )


def failure_of(exc: BaseException, traceback: str = "") -> Failure:
    """Return an exception as text; a `str()` that raises is said instead of passed on."""
    kind = type(exc)
    try:
        message = str(exc)
    except Exception as fault:  # noqa: BLE001 - user code
        message = f"<{kind.__name__}: str() raised {type(fault).__name__}>"
    return Failure(kind.__name__, f"{kind.__module__}.{kind.__qualname__}", message, traceback)
