"""What does an application's own provider need in a pool process that inherited it?

The SDK gives a forked process new threads, but not new metric locks: one that another thread held
at the fork stays held, and the task that records first hangs for ever. It also goes on from the
parent's sums, so that they are exported once more by each child, and from the parent's connections,
on which the requests of both then mix. Measured with SDK 1.45; every private name is looked up, and
where one is gone that part stays as the SDK left it.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from otel_celery.lanes.inherited import renew_connections
from otel_celery.sdk.user_metrics import UserMeterProvider


def renew_after_fork() -> None:
    """Give the inherited providers fresh locks and connections, and sums that begin at zero."""
    _renew_metrics()
    renew_connections(getattr(trace.get_tracer_provider(), "_active_span_processor", None))


def _renew_metrics() -> None:
    provider = metrics.get_meter_provider()
    consumer = getattr(provider, "_measurement_consumer", None)
    if not isinstance(provider, MeterProvider) or consumer is None:
        return
    _renew(consumer, "_lock", threading.Lock)
    for reader, storage in getattr(consumer, "_reader_storages", {}).items():
        _renew(storage, "_lock", threading.RLock)
        _renew(reader, "_export_lock", threading.Lock)
        renew_connections(reader)
        views = getattr(storage, "_instrument_view_instrument_matches", {})
        for matches in views.values():
            for match in matches:
                _renew(match, "_lock", threading.Lock)
                sums = getattr(match, "_attributes_aggregation", None)
                if sums is not None:
                    sums.clear()


def _renew(owner: Any, name: str, make: Any) -> None:
    if hasattr(owner, name):
        setattr(owner, name, make())


def flush_briefly(seconds: float) -> None:
    """Have the providers that tasks used export, before a pool process leaves by `os._exit`.

    Within these seconds, all told, which the SDK does not keep to by itself: for that long, a
    collector that is silent holds up the process.
    """
    deadline = time.monotonic() + seconds
    flushing = [
        threading.Thread(target=provider.force_flush, args=(int(seconds * 1000),), daemon=True)
        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider())
        if isinstance(provider, TracerProvider | MeterProvider | UserMeterProvider)
    ]
    for thread in flushing:
        thread.start()
    for thread in flushing:
        thread.join(max(deadline - time.monotonic(), 0.0))
