"""The watched app with tasks that give a Collector much to do."""

from __future__ import annotations

from opentelemetry import metrics
from watched_app import app, tracer

__all__ = ["app"]


@app.task(name="bursts")  # type: ignore[untyped-decorator]
def bursts(number: int) -> None:
    """Make spans as fast as it goes."""
    for each in range(number):
        with tracer.start_as_current_span("burst", attributes={"number": each}):
            pass


@app.task(name="measures")  # type: ignore[untyped-decorator]
def measures() -> None:
    """Make a metric of its own."""
    metrics.get_meter("watched").create_counter("measured").add(1)
