"""How do spans and log records leave as bytes, without the SDK?"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from otel_celery.lanes import Counts
from otel_celery.lanes.otlp_http import Answer, Verdict
from otel_celery.lanes.outbox import Outbox, Parcel
from otel_celery.otlp import DEFAULT, Limits, encode_span
from otel_celery.span import FinishedSpan

_logger = logging.getLogger(__name__)

MOST_SPANS, MOST_BYTES = 2_000, 2 << 20  # of one request
_SMALLEST = 16 << 10  # bytes: who finds even that too large will take nothing
_TURN = 8  # requests in a row, before other work of the courier has its turn
_LONGEST_BACKOFF = 30.0
_MOST_DOUBLINGS = 5
_BETWEEN_COMPLAINTS = 60.0


class Post(Protocol):
    """One attempt to deliver a request, see `otlp_http.OtlpHttp`."""

    def __call__(self, body: bytes, timeout: float) -> Answer: ...
    def close(self) -> None: ...


class Wrap(Protocol):
    """Says who speaks, see `otlp.Envelope` and `log_records.LogEnvelope`."""

    def request(self, parts: Sequence[bytes], /) -> bytes:
        """Return a whole request with these spans or log records."""


class _Bytes(NamedTuple):
    data: bytes
    own: bool  # what still needs the envelope, else a whole request


_Batch = list[Parcel[_Bytes]]


class BytesLane:
    """Spans or log records, encoded where they are put, joined and posted by the courier.

    A batch that fails for now stays first in line, with exponential back-off or the pause that the
    other side asks for, which may be shorter, but not so short that we do nothing else; one that is
    refused is dropped once and counted.

    Args:
        post: makes one attempt.
        envelope: of what is put one by one.
        limits: of such a span.
        where: the endpoint as it may be shown in a log.
        what: it carries, in a log.
        outbox: queue; only tests and small machines need another.
        clock: monotonic seconds.
        jitter: random factor of a back-off.
    """

    def __init__(
        self,
        post: Post,
        envelope: Wrap,
        limits: Limits = DEFAULT,
        *,
        where: str = "the collector",
        what: str = "spans",
        outbox: Outbox[_Bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),
    ) -> None:
        self._post = post
        self._envelope = envelope
        self._limits = limits
        self._where, self._what = where, what
        self._outbox = Outbox[_Bytes]() if outbox is None else outbox
        self._clock = clock
        self._jitter = jitter
        self._outbox.wake = self._wake
        self.wake: Callable[[], None] = lambda: None
        self._complained_at = -math.inf
        self._batches: deque[_Batch] = deque()  # taken from the outbox, not delivered yet
        self._failures = 0
        self.next_attempt_at = -math.inf

    def put(self, span: FinishedSpan) -> None:
        self.put_part(encode_span(span, self._limits), 1)

    def put_part(self, part: bytes, items: int) -> None:
        self._outbox.offer(_Bytes(part, True), items, len(part))

    def put_encoded(self, request: bytes, spans: int) -> None:
        self._outbox.offer(_Bytes(request, False), spans, len(request))

    def export(self, deadline: float) -> float | None:
        if deadline == math.inf and self._clock() < self.next_attempt_at:
            return self.next_attempt_at
        for _ in range(_TURN):
            if not self._batches:
                taken = self._outbox.take(MOST_SPANS, MOST_BYTES)
                if not taken:
                    return None
                self._batches.append(taken)
            left = deadline - self._clock()
            if left <= 0:
                break
            if not self._deliver(self._batches.popleft(), left):
                return self.next_attempt_at
        return self._clock()

    def counts(self) -> Counts:
        return self._outbox.counts()

    def give_up(self) -> int:
        return self._outbox.close()

    def close(self) -> None:
        self.give_up()
        self._batches.clear()
        self._post.close()

    def _wake(self) -> None:
        if self._clock() >= self.next_attempt_at:
            self.wake()

    def _deliver(self, batch: _Batch, timeout: float) -> bool:
        """Make one attempt with a batch; False when it goes back to be first in line."""
        answer = self._post(self._join(batch), timeout)
        if self._outbox.closed:  # meanwhile, by a stop that waited long enough
            return True
        if answer.verdict is Verdict.AGAIN:
            backoff = min(2.0 ** min(self._failures, _MOST_DOUBLINGS), _LONGEST_BACKOFF)
            if answer.retry_after is None:
                pause = backoff * self._jitter()
            else:
                pause = max(answer.retry_after, backoff / 10)
            self._failures += 1
            self.next_attempt_at = self._clock() + pause
            self._complain(f"{answer.reason}; next attempt in {pause:.0f} s")
            self._batches.appendleft(batch)
            return False
        self._failures = 0
        self.next_attempt_at = -math.inf
        if answer.verdict is Verdict.TOO_LARGE and len(batch) > 1 and _size(batch) > _SMALLEST:
            half = len(batch) // 2
            self._batches.extendleft((batch[half:], batch[:half]))
        elif answer.verdict is Verdict.DELIVERED:
            self._outbox.sent(batch, but=answer.rejected, reason="rejected")
            if answer.rejected:
                self._complain(f"{answer.rejected} of a batch were rejected")
        else:
            self._outbox.drop(batch, answer.verdict.value)
            self._complain(f"{answer.reason}; the batch is dropped")
        return True

    def _join(self, batch: _Batch) -> bytes:
        own = [parcel.item.data for parcel in batch if parcel.item.own]
        parts = [parcel.item.data for parcel in batch if not parcel.item.own]
        if own:
            parts.append(self._envelope.request(own))
        return b"".join(parts)

    def _complain(self, what: str) -> None:
        now = self._clock()
        if now - self._complained_at < _BETWEEN_COMPLAINTS:
            return
        self._complained_at = now
        counts = self._outbox.counts()
        _logger.warning(
            "%s do not get through to %s: %s. %d %s wait, %d were dropped so far.",
            self._what.capitalize(),
            self._where,
            what,
            counts.waiting,
            self._what,
            sum(counts.dropped.values()),
        )


def _size(batch: _Batch) -> int:
    return sum(parcel.size for parcel in batch)
