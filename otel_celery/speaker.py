"""Who turns facts into telemetry, and in which order?

One thread in each process that exports. It takes facts in the order in which they were noted, in
slices of at most a millisecond, joins them with what pool processes told, counts, and puts spans
into a lane. It never touches the network.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otel_celery import conventions as c
from otel_celery import spans
from otel_celery.counts import Counts
from otel_celery.facts import (
    Connected,
    Delivery,
    Due,
    Eager,
    Ended,
    PoolProcessExited,
    Published,
    Started,
    Told,
    made,
)
from otel_celery.guard import Guard
from otel_celery.headers import read_headers
from otel_celery.lanes import LogLane, NoLane, TakesSpans
from otel_celery.log_records import LogLine
from otel_celery.metrics import Instruments
from otel_celery.relay import Hearing, Note, hear
from otel_celery.spans import Identity, Notes
from otel_celery.wire import Ear

_SLICE_NS = 1_000_000
_PAUSE = 0.002  # seconds: a busy worker keeps two thirds of the interpreter for itself
_TURN = 0.05  # seconds between two looks when nobody speaks
_GATHER = 0.01  # seconds to let more records come in: one wake-up for many
_MOST_FACTS = 100_000  # beyond, span contents are dropped and counted, counts never
_MOST_NOTES = 10_000  # of deliveries whose outcome has not been heard yet
_MOST_GONE = 1_000  # pids whose end is remembered
_GONE_NS = 60_000_000_000  # and for how long: Celery misses a process within seconds
_SPANLESS = frozenset({c.RETURNED})  # the delivery never was this worker's


class Speaker:
    """Tells what happened.

    Args:
        guard: its faults are counted and reported with the facts.
        lane: takes spans.
        instruments: of the process's private meter.
        identity: what process spans say of the worker.
        ear: where pool processes are heard, in a worker's main.
        capture: "args", "result" where the deployment wants them.
        logs: takes log records of tasks.
    """

    def __init__(
        self,
        guard: Guard,
        lane: TakesSpans,
        instruments: Instruments,
        identity: Identity = Identity(),  # noqa: B008 - immutable
        ear: Ear | None = None,
        capture: Sequence[str] = (),
        logs: LogLane = NoLane(),  # noqa: B008 - keeps nothing
    ) -> None:
        self.facts: deque[Told | Note | LogLine] = deque()
        self.lane, self.logs, self.ear = lane, logs, ear
        self.lock = instruments.lock
        """Held while a slice is told, and by who reads a consistent state."""
        self.witness: Callable[[Ended], object] = _nobody
        """Told of each delivery that ended in an error, while the lock is held."""
        self.counts = Counts(instruments)
        self._guard, self._instruments = guard, instruments
        self._identity, self._capture = identity, capture
        self._notes: OrderedDict[str, Note] = OrderedDict()
        self._gone: OrderedDict[int, int] = OrderedDict()
        self._timed_out: deque[int] = deque(maxlen=1000)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn = guard("speaker", self._speak_slice)
        self._tell = guard.per_task("speaker", self._tell_fact)
        self._read_headers = guard("headers", read_headers)
        self._hearing = Hearing(
            self.facts.append, self._heard_note, lane.put_encoded, self._heard_faults, logs.put_part
        )
        self._tellers: Mapping[type, Callable[[Any], None]] = {
            Delivery: self._received,
            Started: lambda fact: self.counts.started(fact.delivery),
            Ended: self._ended,
            Published: self._published,
            Eager: self._eager,
            Due: self._due,
            PoolProcessExited: self._exited,
            Connected: self._connected,
            Note: self._heard_note,
            LogLine: self._logged,
        }
        instruments.observe(c.BACKLOG, lambda: [(len(self.facts), {})])

    def start(self) -> None:
        """Begin to speak; facts noted before wait until now."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="otel-celery-speaker", daemon=True
            )
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread, then tell what is left, in the caller's thread."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        self.speak()

    def speak(self, pause: float = 0.0) -> None:
        """Tell all facts that have been noted by now.

        Args:
            pause: seconds between two slices, in which whoever runs tasks goes first.
        """
        while self._turn():
            time.sleep(pause)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self.ear is None:
                self._stopping.wait(_TURN)
            elif self.ear.wait(_TURN):
                self._stopping.wait(_GATHER)
            self.speak(_PAUSE)

    def _speak_slice(self) -> bool:
        """Tell facts for a millisecond; True if more are waiting."""
        with self.lock:
            # What a pool process told of a delivery was sent before its result: whoever counts
            # the facts first and listens then has heard all that belongs to them.
            waiting = len(self.facts)
            self._listen()
            end = time.perf_counter_ns() + _SLICE_NS
            while waiting:
                self._tell(self.facts.popleft())
                waiting -= 1
                if not waiting & 7 and time.perf_counter_ns() > end:
                    break
            self._count_faults()
            self.counts.settle()
            return waiting > 0

    def _tell_fact(self, told: Any) -> None:
        fact = made(told)
        self._tellers[type(fact)](fact)

    def _listen(self) -> None:
        ear = self.ear
        if ear is None:
            return
        for record in ear.records():
            if record.dropped:
                self.counts.add(c.RELAY_DROPPED, {}, record.dropped)
            try:
                hear(record, self._hearing)
            except ValueError as fault:
                self._guard.report("relay", fault)
        while ear.gone:
            pid, at = ear.gone.popleft()
            self._gone.pop(pid, None)  # the system uses pids again
            self._gone[pid] = at
            while len(self._gone) > _MOST_GONE or next(iter(self._gone.values())) < at - _GONE_NS:
                self._gone.popitem(last=False)
        if ear.refused or ear.lost:
            self.counts.add(c.RELAY_DROPPED, {}, ear.refused + ear.lost)
            ear.refused = ear.lost = 0

    def _heard_note(self, note: Note) -> None:
        self._notes[note.span_id] = note
        if len(self._notes) > _MOST_NOTES:
            self._notes.popitem(last=False)
            self.counts.add(c.RELAY_DROPPED, {})

    def _heard_faults(self, faults: Mapping[str, int]) -> None:
        for hook, amount in faults.items():
            self.counts.add(c.FAULTS, {c.HOOK: hook}, amount)

    def _count_faults(self) -> None:
        if self._guard.faults:
            counted = dict(self._guard.faults)
            self._guard.faults.subtract(counted)
            self._guard.faults += type(self._guard.faults)()
            self._heard_faults(counted)

    def _shed(self) -> bool:
        """Is so much waiting that the contents of spans must be given up?"""
        if len(self.facts) < _MOST_FACTS:
            return False
        self.counts.add(c.FACTS_DROPPED, {})
        return True

    def _received(self, delivery: Delivery) -> None:
        headers, delivery.headers = delivery.headers, {}  # they are not kept while it waits
        self._read_headers(delivery, headers, self._capture)
        self.counts.received(delivery)

    def _ended(self, fact: Ended) -> None:
        delivery = fact.delivery
        note = self._notes.pop(delivery.own.span_id, None)
        end_mono = self._end_of(fact, note)
        self.counts.ended(fact, end_mono)
        if fact.state == c.TIMEOUT:
            self._timed_out.append(delivery.pid)
        if delivery.own.sampled and fact.state not in _SPANLESS and not self._shed():
            wait = self.counts.queue_wait(delivery)
            self.lane.put(
                spans.process_span(
                    fact,
                    Notes(note.partial if note else b"", end_mono),
                    self._identity,
                    wait[0] if wait is not None else None,
                )
            )
        if fact.error:
            self.witness(fact)

    def _end_of(self, fact: Ended, note: Note | None) -> int:
        """Return when a delivery ended, by whoever was nearest to it; 0 if it never began.

        Of a pool process that was killed Celery hears seconds later, the relay at once.
        """
        delivery = fact.delivery
        if not delivery.begun:
            return 0
        if note is not None:
            return note.end_mono
        if delivery.runtime:
            return min(fact.end_mono, delivery.start_mono + int(delivery.runtime * 1e9))
        gone = self._gone.get(delivery.pid, fact.end_mono)
        return gone if delivery.start_mono < gone < fact.end_mono else fact.end_mono

    def _published(self, fact: Published) -> None:
        self.counts.published(fact)
        if fact.own.sampled and not self._shed():
            self.lane.put(spans.publish_span(fact))

    def _eager(self, fact: Eager) -> None:
        if fact.own.sampled and not self._shed():
            self.lane.put(spans.eager_span(fact))

    def _due(self, fact: Due) -> None:
        self.counts.due(fact)
        if fact.own.sampled and not self._shed():
            self.lane.put(spans.beat_span(fact))

    def _connected(self, fact: Connected) -> None:
        if fact.again:
            self.counts.add(c.BROKER_RECONNECTIONS, {})

    def _logged(self, line: LogLine) -> None:
        if not self._shed():
            self.logs.put_part(line.data, 1)

    def _exited(self, fact: PoolProcessExited) -> None:
        reason = fact.reason
        if fact.pid in self._timed_out and reason in ("signal", "error"):
            self._timed_out.remove(fact.pid)
            reason = "time_limit"
        self.counts.add(c.PROCESS_EXITS, {c.EXIT_REASON: reason})


def _nobody(ended: Ended) -> None:
    """Take notice of nothing."""
