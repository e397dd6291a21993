"""Traces and metrics for Celery: one line to switch on, one voice per worker.

Importing this starts nothing and loads next to nothing; `instrument()` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_celery.errors import ConfigError, MissingExtra, OtelCeleryError
from otel_celery.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_celery.queues import BrokerReading, QueueReader, QueueReading

__version__ = "0.1.0"
__all__ = [
    "BrokerReading",
    "ConfigError",
    "MissingExtra",
    "OtelCeleryError",
    "QueueReader",
    "QueueReading",
    "Settings",
    "instrument",
    "uninstrument",
]


def instrument(
    app: Any = None,
    *,
    metric_exporters: Sequence[Any] = (),
    readers: Sequence[QueueReader] = (),
    **settings: Any,
) -> None:
    """Switch on, in a publisher, a worker or beat; all apps of the process are covered.

    Nothing starts here: may be called at import, before or after tasks are defined. A second call
    changes nothing.

    Args:
        app: gives `service.name` its default.
        metric_exporters: get the worker's metrics besides those of OTEL_METRICS_EXPORTER.
        readers: read queues of brokers that we do not know.
        settings: fields of `Settings`; they win over OTEL_CELERY_* variables.

    Raises:
        ConfigError: all unusable settings in one message.
    """
    from otel_celery import bootstrap

    bootstrap.instrument(app, metric_exporters=metric_exporters, readers=readers, **settings)


def uninstrument() -> None:
    """Switch off, and export what is left. Tasks that run keep their context to their end."""
    from otel_celery import bootstrap

    bootstrap.uninstrument()


def __getattr__(name: str) -> Any:
    if name in ("BrokerReading", "QueueReader", "QueueReading"):
        from otel_celery import queues

        return getattr(queues, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
