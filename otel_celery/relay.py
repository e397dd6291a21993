"""What does a pool process tell main, and in which bytes?

Spans and log records travel as OTLP, notes as a part of an OTLP span, facts as JSON; nothing that
is unpickled.
"""

from __future__ import annotations

import json
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan

from otel_celery.envelope import Trace
from otel_celery.facts import Broker, Delivery, Eager, Fact, Failure, Published, Told, made
from otel_celery.guard import Guard
from otel_celery.lanes.readable import Envelopes, encode_readable
from otel_celery.wire import Mouth, Record

SPANS, NOTES, FACT, FAULTS, LOGS = 1, 2, 3, 4, 5

_ODD = (  # what reading somebody else's bytes may raise, next to ValueError
    struct.error, TypeError, KeyError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
_COUNT = struct.Struct("<I")
_BATCH, _MOST_HELD = 64 << 10, 512 << 10  # bytes of log records: of one send, of all that wait
_NOTES = struct.Struct("<16sQ")  # span id as hex digits, monotonic end
_FACTS: dict[str, Any] = {"Published": Published, "Eager": Eager}
_TUPLES: dict[str, Callable[[Any], Any]] = {
    "own": Trace._make, "link": Trace._make, "broker": Broker._make, "failure": Failure._make,
    "told": tuple,
}  # fmt: skip


class Note(NamedTuple):
    """What was said on a delivery's span."""

    span_id: str
    partial: bytes
    end_mono: int


class Teller:
    """The pool process's side: everything it has to say goes to main, nothing waits."""

    def __init__(self, mouth: Mouth, guard: Guard) -> None:
        self._mouth, self._guard = mouth, guard
        self._envelopes = Envelopes()
        self._held: deque[bytes] = deque()  # log records that main had no room for yet
        self._passing = False
        self._lock = threading.RLock()  # threads that a task started log, too

    def tell(self, told: Told) -> None:
        """Send a fact that happened here, such as a publish within a task."""
        self._mouth.send(FACT, encode_fact(told))

    def note(self, span_id: str, partial: bytes, end_mono: int) -> None:
        """Send what user code put on the task's span, before Celery sends the result."""
        self._mouth.send(NOTES, _NOTES.pack(span_id.encode(), end_mono) + partial)
        self.faults()

    def span(self, span: ReadableSpan) -> None:
        """Send a span that user code ended."""
        self._mouth.send(SPANS, _COUNT.pack(1) + encode_readable(span, self._envelopes))

    def log(self, record: bytes) -> None:
        """Send a log record now, if main takes it; else it waits, within bounds, for the next.

        It takes nothing of the room that spans and notes have to wait in: a program may log much.
        """
        with self._lock:
            if self._held and sum(map(len, self._held)) + len(record) > _MOST_HELD:
                self._mouth.lose()
                return
            self._held.append(record)
            self.pass_on()

    def pass_on(self) -> None:
        """Send the log records that wait, as far as it goes."""
        with self._lock:
            if self._passing:  # a signal handler logs: what it says goes with the rest
                return
            self._passing = True
            try:
                while self._held:
                    batch = self._batch()
                    if not self._mouth.offer(LOGS, _logs(batch)):
                        self._held.extendleft(reversed(batch))
                        return
            finally:
                self._passing = False

    def _batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._held and (not batch or size + len(self._held[0]) <= _BATCH):
            batch.append(self._held.popleft())
            size += len(batch[-1])
        return batch

    def leave(self, timeout: float) -> None:
        """Say the last words, and wait that long at most until main has them."""
        with self._lock:
            while self._held:
                batch = self._batch()
                if not self._mouth.send(LOGS, _logs(batch)):
                    self._mouth.lose(len(batch) - 1)  # the mouth has counted one
        self.faults()
        self._mouth.drain(timeout)

    def faults(self) -> None:
        """Send how often hooks of ours raised here, and begin anew."""
        if self._guard.faults:
            counted = dict(self._guard.faults)
            self._guard.faults.clear()
            self._mouth.send(FAULTS, json.dumps(counted).encode())


def _logs(batch: list[bytes]) -> bytes:
    return _COUNT.pack(len(batch)) + b"".join(batch)


class Hearing(NamedTuple):
    """Who gets what a pool process told."""

    fact: Callable[[Fact], None]
    note: Callable[[Note], None]
    spans: Callable[[bytes, int], None]
    faults: Callable[[dict[str, int]], None]
    logs: Callable[[bytes, int], None]


def hear(record: Record, to: Hearing) -> None:
    """Hand one record on.

    Raises:
        ValueError: it is not what a pool process writes.
    """
    payload = record.payload
    try:
        if record.kind == SPANS:
            to.spans(payload[_COUNT.size :], _COUNT.unpack_from(payload)[0])
        elif record.kind == NOTES:
            span_id, end_mono = _NOTES.unpack_from(payload)
            to.note(Note(span_id.decode(), payload[_NOTES.size :], end_mono))
        elif record.kind == FACT:
            to.fact(decode_fact(payload))
        elif record.kind == FAULTS:
            to.faults({str(hook): int(n) for hook, n in json.loads(payload).items()})
        elif record.kind == LOGS:
            to.logs(payload[_COUNT.size :], _COUNT.unpack_from(payload)[0])
        else:
            raise ValueError(f"unknown record kind {record.kind}")
    except _ODD as why:
        raise ValueError(f"malformed record of kind {record.kind}: {why}") from why


def encode_fact(told: Told) -> bytes:
    """Return a fact as JSON; text with lone surrogates survives, as escapes."""
    fact = made(told)
    assert not isinstance(fact, Delivery), "a pool process holds none"
    fields = fact._asdict()
    if "notes" in fields:
        fields["notes"] = fields["notes"].decode("latin-1")
    return json.dumps([type(fact).__name__, fields], default=str).encode()


def decode_fact(payload: bytes) -> Fact:
    """Return the fact that `encode_fact` wrote."""
    name, fields = json.loads(payload)
    for key, kind in _TUPLES.items():
        if fields.get(key) is not None:
            fields[key] = kind(fields[key])
    if "notes" in fields:
        fields["notes"] = fields["notes"].encode("latin-1")
    fact: Fact = _FACTS[name](**fields)
    return fact
