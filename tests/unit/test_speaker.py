"""Who turns facts into telemetry, and in which order?"""

from __future__ import annotations

import struct
import threading
from collections import deque
from typing import Any

import pytest

from otel_celery import conventions as c
from otel_celery import speaker as module
from otel_celery.envelope import Trace
from otel_celery.facts import (
    Connected,
    Due,
    Eager,
    Failure,
    PoolProcessExited,
    Started,
)
from otel_celery.guard import Guard
from otel_celery.lanes import NoLane
from otel_celery.log_records import LogLine
from otel_celery.relay import FACT, FAULTS, LOGS, NOTES, SPANS, Note, encode_fact
from otel_celery.spans import Identity
from otel_celery.speaker import Speaker
from otel_celery.wire import Record
from tests.unit.stand_ins import (
    BAD,
    NS,
    OWN,
    SENDER,
    Lane,
    Readings,
    delivery,
    ended,
    published,
)
from tests.waiting import eventually

LONG_AGO = 49 * NS  # before the delivery of these tests began
UNSAMPLED = OWN._replace(sampled=False)
DUE = Due("nightly", OWN, 5, 6, 0.5, None)
EAGER = Eager("shop.pay", "id-1", OWN, SENDER.span_id, 5, 6, "success", None, False, b"")


class Ear:
    """What pool processes have said."""

    def __init__(self) -> None:
        self.said: deque[Record] = deque()
        self.gone: deque[tuple[int, int]] = deque()
        self.refused = self.lost = 0

    def records(self) -> Any:
        while self.said:
            yield self.said.popleft()

    def says(self, kind: int, payload: bytes, dropped: int = 0) -> None:
        self.said.append(Record(kind, dropped, payload, 4242))

    def wait(self, seconds: float) -> bool:
        return bool(self.said)


@pytest.fixture
def readings():
    made = Readings()
    yield made
    made.provider.shutdown()


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def lane() -> Lane:
    return Lane()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def speaker(guard: Guard, lane: Lane, readings: Readings, ear: Ear) -> Speaker:
    return Speaker(guard, lane, readings.instruments, Identity("w@host", "prefork"), ear)  # type: ignore[arg-type]


def tell(speaker: Speaker, *facts: Any) -> None:
    speaker.facts.extend(facts)
    speaker.speak()


def lived(of: Any, state: str = "success", *more: Any, **said: Any) -> list[Any]:
    """Return the facts of one delivery, in their order."""
    began = [Started(of)] if of.begun else []
    return [of, *began, ended(of, state, *more, **said)]


def note(end_mono: int, partial: bytes = b"noted", of: Trace = OWN) -> bytes:
    return struct.pack("<16sQ", of.span_id.encode(), end_mono) + partial


def test_each_fact_is_counted_once_and_those_with_a_span_go_to_the_lane(
    speaker: Speaker, lane: Lane, readings: Readings
):
    tell(
        speaker,
        *lived(delivery()),
        *lived(delivery(own=OWN._replace(span_id="1" * 16)), "failure", BAD),
        published(),
        DUE,
        EAGER,
        PoolProcessExited(7, "recycled"),
        Connected(again=False),
        Connected(again=True),
    )
    assert [span.name for span in lane.spans] == [
        "process shop.pay",
        "process shop.pay",
        "publish shop.pay",
        "beat nightly",
        "process shop.pay",
    ]
    assert readings.values(c.CONSUMED_MESSAGES) == {(): 2}
    assert readings.values(c.OUTCOMES, c.TASK_STATE, c.ERROR_TYPE) == {
        ("success", None): 1,
        ("failure", "KeyError"): 1,
    }
    assert readings.values(c.SENT_MESSAGES) == {(): 1}
    assert readings.values(c.LATENESS, c.BEAT_ENTRY) == {("nightly",): 1}
    assert readings.values(c.PROCESS_EXITS, c.EXIT_REASON) == {("recycled",): 1}
    assert readings.values(c.BROKER_RECONNECTIONS) == {(): 1}
    assert readings.values(c.FAULTS) == {}


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(lived(delivery(own=UNSAMPLED)), id="process"),
        pytest.param([published(own=UNSAMPLED)], id="publish"),
        pytest.param([DUE._replace(own=UNSAMPLED)], id="beat"),
        pytest.param([EAGER._replace(own=UNSAMPLED)], id="eager"),
        pytest.param(lived(delivery(ran=None), c.RETURNED), id="given-back"),
    ],
)
def test_no_span(speaker: Speaker, lane: Lane, facts: list[Any]):
    """Unsampled, or a delivery that never was this worker's."""
    tell(speaker, *facts)
    assert lane.spans == []


def test_what_is_not_sampled_is_counted(speaker: Speaker, readings: Readings):
    tell(speaker, *lived(delivery(own=UNSAMPLED)), published(own=UNSAMPLED))
    assert readings.values(c.OUTCOMES) == {(): 1}
    assert readings.values(c.PROCESS_DURATION) == {(): 1}
    assert readings.values(c.SENT_MESSAGES) == {(): 1}


def test_notes_join_the_span_of_their_delivery_and_say_when_it_ended(
    speaker: Speaker, ear: Ear, lane: Lane
):
    """The pool process's clock is nearer to the end than main's."""
    ear.says(NOTES, note(52 * NS))
    tell(speaker, *lived(delivery(), "failure", BAD))
    (span,) = lane.spans
    assert (span.notes, span.end_ns - span.start_ns) == (b"noted", 2 * NS)


def test_notes_told_after_the_outcome_was_noted_still_join(
    speaker: Speaker, ear: Ear, lane: Lane, monkeypatch: pytest.MonkeyPatch
):
    """They were sent before the result: the speaker listens after it has counted the facts."""
    facts = lived(delivery())
    tell(speaker, *facts[:2])
    records = ear.records

    def late() -> Any:
        speaker.facts.append(facts[2])  # main hears of the outcome while it listens
        yield from records()

    with monkeypatch.context() as patch:
        patch.setattr(ear, "records", late)
        speaker._turn()
    assert lane.spans == []  # for its notes may not have been read
    ear.says(NOTES, note(51 * NS))
    speaker.speak()
    assert [span.notes for span in lane.spans] == [b"noted"]


def test_notes_of_another_run_stay_apart(speaker: Speaker, ear: Ear, lane: Lane):
    ear.says(NOTES, note(51 * NS, of=SENDER))
    tell(speaker, *lived(delivery()))
    assert [span.notes for span in lane.spans] == [b""]


def test_an_in_process_pool_notes_among_the_facts(speaker: Speaker, lane: Lane):
    began, noted = lived(delivery()), Note(OWN.span_id, b"noted", 52 * NS)
    tell(speaker, *began[:2], noted, began[2])
    assert [span.notes for span in lane.spans] == [b"noted"]


def test_notes_that_wait_for_ever_make_room_and_are_counted(
    speaker: Speaker, ear: Ear, readings: Readings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_MOST_NOTES", 2)
    for number in range(5):
        ear.says(NOTES, note(1, of=OWN._replace(span_id=f"{number:016x}")))
    speaker.speak()
    assert readings.values(c.RELAY_DROPPED) == {(): 3}


@pytest.mark.parametrize(
    ("gone", "seconds"),
    [
        pytest.param([(4242, 51 * NS)], 1.0, id="when-its-process-died"),
        pytest.param([], 3.0, id="when-main-heard"),
        pytest.param([(4242, LONG_AGO)], 3.0, id="an-earlier-process-of-that-number"),
        pytest.param([(7, 51 * NS)], 3.0, id="another-process-died"),
        pytest.param([(4242, 60 * NS)], 3.0, id="died-afterwards"),
    ],
)
def test_a_lost_delivery_ended(
    speaker: Speaker, ear: Ear, lane: Lane, gone: list[tuple[int, int]], seconds: float
):
    """Celery hears of a killed process seconds later, the relay at once."""
    ear.gone.extend(gone)
    tell(speaker, *lived(delivery(), "lost", Failure("WorkerLostError", "", "", "")))
    assert [(span.end_ns - span.start_ns) / NS for span in lane.spans] == [seconds]


@pytest.mark.parametrize(
    ("runtime", "seconds"),
    [
        pytest.param(1.5, 1.5, id="as-long-as-the-pool-says"),
        pytest.param(3600.0, 3.0, id="no-longer-than-main-waited"),
        pytest.param(None, 3.0, id="the-pool-said-nothing"),
    ],
)
def test_a_success_took(speaker: Speaker, lane: Lane, runtime: float | None, seconds: float):
    tell(speaker, *lived(delivery(runtime=runtime)))
    assert [(span.end_ns - span.start_ns) / NS for span in lane.spans] == [seconds]


def test_ends_of_processes_are_not_remembered_for_ever(
    speaker: Speaker, ear: Ear, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_MOST_GONE", 3)
    ear.gone.extend((pid, 51 * NS) for pid in range(10))
    speaker.speak()
    assert list(speaker._gone) == [7, 8, 9]


def test_the_end_of_a_process_is_remembered_for_a_minute(speaker: Speaker, ear: Ear):
    """So that a worker that recycles its processes holds no more after a day than after an hour."""
    ear.gone.extend([(1, 10 * NS), (2, 20 * NS), (1, 50 * NS), (3, 90 * NS)])
    speaker.speak()
    assert list(speaker._gone) == [1, 3]


def test_what_a_pool_process_publishes_and_counts_is_told_by_main(
    speaker: Speaker, ear: Ear, lane: Lane, readings: Readings
):
    ear.says(FACT, encode_fact(published()))
    ear.says(SPANS, b"\x02\x00\x00\x00otlp")
    ear.says(FAULTS, b'{"execution": 2}', dropped=3)
    ear.refused = 4
    speaker.speak()
    speaker.speak()  # what was heard is told in the next slice
    assert [span.name for span in lane.spans] == ["publish shop.pay"]
    assert lane.requests == [(b"otlp", 2)]
    assert readings.values(c.FAULTS, c.HOOK) == {("execution",): 2}
    assert readings.values(c.RELAY_DROPPED) == {(): 7}


def test_a_malformed_record_is_a_fault_and_the_next_is_heard(
    speaker: Speaker, ear: Ear, readings: Readings, lane: Lane
):
    ear.says(FACT, b"{")
    ear.says(NOTES, note(52 * NS))
    tell(speaker, *lived(delivery()))
    assert [span.notes for span in lane.spans] == [b"noted"]
    speaker.speak()
    assert readings.values(c.FAULTS, c.HOOK) == {("relay",): 1}


def test_a_fact_that_cannot_be_told_is_a_fault_and_the_others_are_told(
    speaker: Speaker, lane: Lane, readings: Readings
):
    """At a stop nobody comes back for the rest."""
    tell(speaker, object(), published(own="no trace"), *lived(delivery()))
    assert [span.name for span in lane.spans] == ["process shop.pay"]
    assert readings.values(c.OUTCOMES) == {(): 1}
    assert readings.values(c.FAULTS, c.HOOK) == {("speaker",): 2}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"properties": "text"}, id="properties"),
        pytest.param({"delivery_info": [1]}, id="delivery-info"),
        pytest.param({"timelimit": 5}, id="limit-without-a-pair"),
        pytest.param({"timelimit": ["soon", None]}, id="limit-in-words"),
    ],
)
def test_headers_that_make_no_sense_cost_attributes_and_no_count(
    speaker: Speaker, lane: Lane, readings: Readings, headers: dict[str, Any]
):
    """They come from whoever can send a message, and are no fault of ours."""
    of = delivery(headers=headers)
    tell(speaker, of, Started(of), ended(of))
    assert [span.name for span in lane.spans] == ["process shop.pay"]
    assert readings.values(c.CONSUMED_MESSAGES) == readings.values(c.OUTCOMES) == {(): 1}
    assert readings.values(c.FAULTS) == {}


def test_faults_of_hooks_are_counted_and_not_twice(
    speaker: Speaker, guard: Guard, readings: Readings
):
    guard.faults.update({"publish": 2})
    speaker.speak()
    speaker.speak()
    assert readings.values(c.FAULTS, c.HOOK) == {("publish",): 2}


def test_at_the_bound_spans_are_given_up_and_counted_but_no_count(
    speaker: Speaker, lane: Lane, readings: Readings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_MOST_FACTS", 2)
    tell(speaker, *[published()] * 5)
    assert readings.values(c.SENT_MESSAGES) == {(): 5}
    assert len(lane.spans) == 2  # told when less than two more were waiting
    assert readings.values(c.FACTS_DROPPED) == {(): 3}


def test_a_slice_ends_after_its_time_and_says_that_more_is_waiting(
    speaker: Speaker, lane: Lane, monkeypatch: pytest.MonkeyPatch
):
    """Tasks of the same process go on in between."""
    monkeypatch.setattr(module, "_SLICE_NS", 0)
    speaker.facts.extend([published()] * 100)
    assert speaker._turn() is True
    assert 0 < len(lane.spans) <= 8
    speaker.speak()
    assert len(lane.spans) == 100
    assert speaker._turn() is False


def test_a_slice_is_told_as_a_whole(speaker: Speaker, lane: Lane):
    """Who reads under the lock sees no half of it."""
    speaker.facts.extend(lived(delivery()))
    with speaker.lock:
        telling = threading.Thread(target=speaker.speak)
        telling.start()
        assert (len(speaker.facts), lane.spans) == (3, [])
    telling.join(10)
    assert (len(speaker.facts), len(lane.spans)) == (0, 1)


@pytest.mark.parametrize(
    ("reason", "state", "told"),
    [
        pytest.param("signal", "timeout", "time_limit", id="hard-limit"),
        pytest.param("error", "timeout", "time_limit", id="hard-limit-with-a-code"),
        pytest.param("recycled", "timeout", "recycled", id="recycled"),
        pytest.param("signal", "lost", "signal", id="killed-by-another"),
    ],
)
def test_a_process_exited(speaker: Speaker, readings: Readings, reason: str, state: str, told: str):
    """A hard limit kills by signal: the delivery before tells which signal it was."""
    tell(speaker, *lived(delivery(), state), PoolProcessExited(4242, reason))
    assert readings.values(c.PROCESS_EXITS, c.EXIT_REASON) == {(told,): 1}


def test_a_time_limit_ends_one_process(speaker: Speaker, readings: Readings):
    """The next one of that number is another one."""
    exited = PoolProcessExited(4242, "signal")
    tell(speaker, *lived(delivery(), "timeout"), exited, exited)
    assert readings.values(c.PROCESS_EXITS, c.EXIT_REASON) == {("time_limit",): 1, ("signal",): 1}


def test_facts_not_told_are_the_backlog(speaker: Speaker, readings: Readings):
    speaker.facts.extend([published()] * 3)
    assert readings.values(c.BACKLOG) == {(): 3}


def test_a_stopped_speaker_has_told_everything(
    speaker: Speaker, lane: Lane, guard: Guard, readings: Readings
):
    speaker.facts.append(published())
    speaker.start()
    speaker.start()  # one thread, however often
    eventually(lambda: len(lane.spans) == 1)
    speaker.stop(5)
    tell(speaker, published())
    assert len(lane.spans) == 2
    assert [t.name for t in threading.enumerate() if t.name.startswith("otel-celery")] == []


def test_a_publisher_hears_nobody(guard: Guard, lane: Lane, readings: Readings):
    speaker = Speaker(guard, lane, readings.instruments)  # type: ignore[arg-type]
    speaker.start()
    speaker.facts.append(published())
    eventually(lambda: len(lane.spans) == 1)
    speaker.stop(5)
    assert guard.faults == {}


class Lines(NoLane):
    """Where log records go."""

    def __init__(self) -> None:
        super().__init__()
        self.put: list[tuple[bytes, int]] = []

    def put_part(self, part: bytes, items: int) -> None:
        self.put.append((part, items))


def test_log_records_of_pool_processes_and_of_main_go_one_way(readings, guard: Guard, lane: Lane):
    """Those of a pool process come joined, those of tasks in main with the facts."""
    ear, lines = Ear(), Lines()
    speaker = Speaker(guard, lane, readings.instruments, ear=ear, logs=lines)  # type: ignore[arg-type]
    ear.says(LOGS, struct.pack("<I", 2) + b"relayed")
    speaker.facts.append(LogLine(b"own"))
    speaker.speak()
    assert lines.put == [(b"relayed", 2), (b"own", 1)]
