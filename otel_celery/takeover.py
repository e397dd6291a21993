"""Who else instruments Celery here?"""

from __future__ import annotations

import os
import sys
from typing import Any

from opentelemetry.baggage.propagation import W3CBaggagePropagator

from otel_celery.guard import logger

_CONTRIB = "opentelemetry.instrumentation.celery"


def take_over_contrib() -> None:
    """Switch opentelemetry-instrumentation-celery off where it is on: two would tell all twice."""
    contrib = sys.modules.get(_CONTRIB)
    if contrib is None:
        return
    instrumentor: Any = contrib.CeleryInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
        logger.warning(
            "otel-celery takes over from opentelemetry-instrumentation-celery;"
            " OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=celery keeps that from starting at all"
        )


def propagated_baggage() -> W3CBaggagePropagator | None:
    """Return what carries baggage, if OTEL_PROPAGATORS names it.

    Baggage comes from whoever can send a message, so that it is off unless it was asked for.
    """
    named = [name.strip() for name in os.environ.get("OTEL_PROPAGATORS", "").split(",")]
    return W3CBaggagePropagator() if "baggage" in named else None
