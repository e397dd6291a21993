"""The cases app with a task that tells the baggage it runs with; as a program, it sends two.

`python structure_app.py` prints the ids of a task sent within a span and baggage, and of one that
retries.
"""

from __future__ import annotations

import json

from opentelemetry import baggage, trace
from opentelemetry.context import attach
from shop_of_cases import app, retry


@app.task(name="structure.baggage")
def carried() -> dict[str, object]:
    """Return the baggage that came along."""
    return dict(baggage.get_all())


if __name__ == "__main__":
    around = trace.SpanContext(int("ab" * 16, 16), int("cd" * 8, 16), True, trace.TraceFlags(1))
    attach(trace.set_span_in_context(trace.NonRecordingSpan(around)))
    attach(baggage.set_baggage("customer", "known"))
    print(json.dumps([carried.delay().id, retry.delay().id]))
