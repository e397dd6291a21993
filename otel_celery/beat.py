"""A due entry is sent."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind

from otel_celery import conventions as c
from otel_celery import envelope
from otel_celery.envelope import Trace
from otel_celery.facts import Due
from otel_celery.sampling import context_of
from otel_celery.voice import Voice, failure_of


class Beat:
    """Tells when beat's loop turns, and how late each entry is sent.

    The scheduler's own methods are wrapped, not those of its class: schedulers of others override
    them.

    Args:
        voice: this process; a worker's main where beat is a thread of it.
        scheduler: Celery's or another's.
    """

    def __init__(self, voice: Voice, scheduler: Any) -> None:
        self._voice = voice
        self._turned_at = time.time()
        scheduler.tick = self._around_tick(scheduler.tick)
        scheduler.apply_async = self._around_apply(scheduler.apply_async)

    def heartbeat(self) -> Iterable[tuple[float, Mapping[str, Any]]]:
        """Yield when the loop last turned, Unix seconds."""
        yield self._turned_at, {}

    def _around_tick(self, tick: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(tick)
        def turn(*args: Any, **options: Any) -> Any:
            self._turned_at = time.time()
            return tick(*args, **options)

        return turn

    def _around_apply(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        enter, leave = self._voice.guard("beat", self._begin), self._voice.guard("beat", self._end)

        @functools.wraps(apply)
        def apply_async(entry: Any, *args: Any, **options: Any) -> Any:
            begun = enter(entry)
            failure: BaseException | None = None
            try:
                return apply(entry, *args, **options)
            except BaseException as exc:
                failure = exc
                raise
            finally:
                if begun is not None:
                    leave(begun, failure)

        return apply_async

    def _begin(self, entry: Any) -> tuple[str, Trace, Any, float | None, int, int]:
        trace_id = envelope.new_trace_id()
        decision = self._voice.decide(
            None, trace_id, f"beat {entry.name}", SpanKind.INTERNAL, {c.BEAT_ENTRY: entry.name}
        )
        own = Trace(trace_id, envelope.new_span_id(), decision.sampled, decision.state)
        late = lateness(entry)  # asks a schedule of the user's, which may raise: before we attach
        token = attach(context_of(own))
        return entry.name, own, token, late, time.time_ns(), time.monotonic_ns()

    def _end(
        self, begun: tuple[str, Trace, Any, float | None, int, int], failure: BaseException | None
    ) -> None:
        name, own, token, late, start_ns, start_mono = begun
        detach(token)
        self._voice.tell(
            Due(
                name,
                own,
                start_ns,
                time.monotonic_ns() - start_mono,
                late,
                None if failure is None else failure_of(failure),
            )
        )


def lateness(entry: Any) -> float | None:
    """Return how many seconds ago an entry became due; None where it cannot be known."""
    if entry.last_run_at is None:
        return None
    remaining = entry.schedule.remaining_estimate(entry.last_run_at)
    return max(-float(remaining.total_seconds()), 0.0)
