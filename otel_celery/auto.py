"""Importing this module switches on; `opentelemetry-instrument` does so by the entry point.

For `app.conf.imports`, and for programs that cannot be edited.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

import otel_celery


class OtelCeleryInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """What `opentelemetry-instrument` finds under the name `otel_celery`."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what must be installed for this to make sense."""
        return ("celery >= 5.4",)

    def _instrument(self, **_: Any) -> None:
        otel_celery.instrument()

    def _uninstrument(self, **_: Any) -> None:
        otel_celery.uninstrument()


otel_celery.instrument()
