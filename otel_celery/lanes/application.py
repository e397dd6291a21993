"""How do spans leave through the application's own provider?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from opentelemetry.sdk.trace import TracerProvider

from otel_celery.lanes import Counts
from otel_celery.lanes.readable import decode_request
from otel_celery.lanes.replay import replay, sdk_tracer
from otel_celery.span import FinishedSpan


class ApplicationLane:
    """Spans as SDK spans of the application's own provider, made where they are put.

    Its processors see `on_start` and `on_end` as of any span, with its resource and limits. Spans
    that another process ended have been started there: of those they see `on_end` alone.
    """

    def __init__(
        self,
        provider: TracerProvider,
        scope: tuple[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._scope = scope
        self._clock = clock
        self._sent = 0
        self.wake: Callable[[], None] = lambda: None

    def put(self, span: FinishedSpan) -> None:
        replay(sdk_tracer(self._provider, self._scope), span)
        self._sent += 1

    def put_encoded(self, request: bytes, spans: int) -> None:
        processor = sdk_tracer(self._provider, self._scope).span_processor
        for span in decode_request(request):
            processor.on_end(span)
        self._sent += spans

    def export(self, deadline: float) -> None:
        """Have the provider flush when somebody waits; else it has its own rhythm."""
        if deadline != math.inf:
            self._provider.force_flush(max(0, int((deadline - self._clock()) * 1000)))

    def counts(self) -> Counts:
        return Counts(self._sent, {}, 0, 0)

    def give_up(self) -> int:
        return 0

    def close(self) -> None:
        """The provider is not ours to close."""
