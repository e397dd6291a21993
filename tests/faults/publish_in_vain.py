"""Publishes at each line it reads, inside a span of its own, and prints how that went as JSON.

One program meets a broker that answers, one that is gone, and one that is back.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from opentelemetry import trace
from watched_app import app, tracer

app.conf.broker_transport_options = json.loads(os.environ.get("WATCHED_TRANSPORT", "{}"))


def causes(exc: BaseException | None) -> list[str]:
    """Return an exception and what it came from, as anybody sees them who catches it."""
    told = []
    while exc is not None:
        told.append(f"{type(exc).__module__}.{type(exc).__qualname__}{exc.args!r}")
        exc = exc.__cause__ or exc.__context__
    return told


def publish(**options: Any) -> dict[str, Any]:
    """Send one message, and return its id or what was raised, and whether the span is current."""
    with tracer.start_as_current_span("caller") as caller:
        raised: BaseException | None = None
        sent = ""
        try:
            # With results, the backend is asked first, and an error of it would hide the broker's.
            sent = app.send_task("quick", ignore_result=True, **options).id
        except Exception as exc:  # noqa: BLE001 - it is what is asked for
            raised = exc
        still = trace.get_current_span() is caller
    left = trace.get_current_span().get_span_context().is_valid
    return {"sent": sent, "raised": causes(raised), "current": still and not left}


for line in sys.stdin:
    print(json.dumps(publish(**json.loads(line))), flush=True)
