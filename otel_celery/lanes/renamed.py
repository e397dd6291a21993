"""How do spans come under contrib's names into whatever lane there is?"""

from __future__ import annotations

from otel_celery.contrib import named
from otel_celery.lanes import TakesSpans
from otel_celery.span import FinishedSpan


class Renamed:
    """Gives spans to a lane under the names that OTEL_CELERY_NAMES asks for.

    Args:
        lane: takes them.
        names: "contrib" or "dup".
    """

    def __init__(self, lane: TakesSpans, names: str) -> None:
        self._lane, self._names = lane, names
        self.put_encoded = lane.put_encoded
        """Spans that user code made keep their names."""

    def put(self, span: FinishedSpan) -> None:
        self._lane.put(named(span, self._names))
