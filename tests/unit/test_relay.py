"""What does a pool process tell main, and in which bytes?"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from otel_celery.envelope import Trace, told_by
from otel_celery.facts import Eager, Failure
from otel_celery.guard import Guard
from otel_celery.relay import (
    FACT,
    FAULTS,
    NOTES,
    SPANS,
    Hearing,
    Note,
    Teller,
    decode_fact,
    encode_fact,
    hear,
)
from otel_celery.wire import Record
from tests.unit.stand_ins import BAD, OWN, SENDER, published

EAGER = Eager("shop.pay", "id-1", OWN, SENDER.span_id, 5, 6, "failure", BAD, True, b"\x00\xff\n")


class Line:
    """A mouth whose records main hears at once."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self._to = Hearing(
            self.heard.append,
            self.heard.append,
            lambda request, spans: self.heard.append((request, spans)),
            self.heard.append,
            lambda parts, records: self.heard.append((parts, records)),
        )

    def send(self, kind: int, payload: bytes) -> bool:
        hear(Record(kind, 0, payload, os.getpid()), self._to)
        return True


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def teller(line: Line) -> Teller:
    return Teller(line, Guard())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(published(), id="publish"),
        pytest.param(
            published(
                link=Trace("12" * 16, "34" * 8, False, "vendor=1"),
                failure=Failure("OSError", "builtins.OSError", "refused", "Traceback ..."),
                told=told_by({"retries": 2, "eta": "2030-01-01T00:00:00"}),
                added={"celery.task.priority": 5},
            ),
            id="publish-that-failed",
        ),
        pytest.param(EAGER, id="eager"),
        pytest.param(EAGER._replace(failure=None, notes=b""), id="eager-without-a-word"),
        pytest.param(
            published(task="\ud800é\x00", failure=BAD._replace(message="\udcff")),
            id="text-that-is-no-utf-8",
        ),
    ],
)
def test_a_fact_arrives_as_it_was_told(line: Line, teller: Teller, fact: Any):
    teller.tell(fact)
    assert line.heard == [fact]
    assert [type(heard) for heard in line.heard] == [type(fact)]


def test_what_json_does_not_know_arrives_as_text(line: Line, teller: Teller):
    """A priority may be anything that a caller passes."""
    teller.tell(published(added={"celery.task.priority": {1}}))
    assert line.heard == [published(added={"celery.task.priority": "{1}"})]


@given(st.text(st.characters()), st.binary())
def test_any_text_and_any_notes_survive(text: str, notes: bytes):
    fact = EAGER._replace(task=text, failure=BAD._replace(message=text), notes=notes)
    assert decode_fact(encode_fact(fact)) == fact


@pytest.mark.parametrize("partial", [b"", b"\x00\xff notes"], ids=["only-the-end", "notes"])
def test_notes_arrive_with_the_end_of_the_run(line: Line, teller: Teller, partial: bytes):
    teller.note(OWN.span_id, partial, 2**63)
    assert line.heard == [Note(OWN.span_id, partial, 2**63)]


def test_a_span_arrives_as_a_whole_request(line: Line, teller: Teller):
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("mine").start_span("work")
    span.end()
    assert isinstance(span, ReadableSpan)
    teller.span(span)
    ((request, spans),) = line.heard
    parsed = ExportTraceServiceRequest.FromString(request)
    assert (parsed.resource_spans[0].scope_spans[0].spans[0].name, spans) == ("work", 1)
    provider.shutdown()


def test_faults_of_a_pool_process_are_told_once(line: Line):
    guard = Guard()
    teller = Teller(line, guard)  # type: ignore[arg-type]
    guard.faults.update({"execution": 2, "publish": 1})
    teller.faults()
    teller.faults()
    assert line.heard == [{"execution": 2, "publish": 1}]
    assert guard.faults == {}


def test_faults_travel_with_notes(line: Line):
    """A process that is killed later has told them."""
    guard = Guard()
    teller = Teller(line, guard)  # type: ignore[arg-type]
    guard.faults["execution"] = 1
    teller.note(OWN.span_id, b"", 7)
    assert line.heard == [Note(OWN.span_id, b"", 7), {"execution": 1}]


class Full(Line):
    """A mouth whose main takes so many records of logs, and any number of others."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.lost = room, 0

    def offer(self, kind: int, payload: bytes) -> bool:
        if not self.room:
            return False
        self.room -= 1
        return self.send(kind, payload)

    def lose(self) -> None:
        self.lost += 1

    def drain(self, timeout: float) -> bool:
        return True


def test_log_records_go_at_once():
    full = Full(2)
    teller = Teller(full, Guard())  # type: ignore[arg-type]
    teller.log(b"a")
    teller.log(b"b")
    assert full.heard == [(b"a", 1), (b"b", 1)]


def test_log_records_that_found_no_room_go_together_and_in_order():
    """With the next one, or when the task has ended."""
    full = Full(0)
    teller = Teller(full, Guard())  # type: ignore[arg-type]
    for line in (b"a", b"b", b"c"):
        teller.log(line)
    full.room = 1
    teller.pass_on()
    assert full.heard == [(b"abc", 3)]
    teller.pass_on()
    assert (full.heard, full.lost) == ([(b"abc", 3)], 0)


def test_log_records_wait_within_bounds_and_leave_in_pieces():
    """Half a megabyte waits; what is beyond is counted. The last words are all the others."""
    line = bytes(16 << 10)
    full = Full(0)
    teller = Teller(full, Guard())  # type: ignore[arg-type]
    for _ in range(40):
        teller.log(line)
    assert (full.heard, full.lost) == ([], 8)
    teller.leave(0)
    assert full.heard == [(4 * line, 4)] * 8


def test_log_records_that_cannot_even_leave_at_the_end_are_counted_each():
    """They go together, but what is lost are records."""

    class Shut(Full):
        def send(self, kind: int, payload: bytes) -> bool:
            self.lost += 1
            return False

        def lose(self, records: int = 1) -> None:
            self.lost += records

    shut = Shut(0)
    teller = Teller(shut, Guard())  # type: ignore[arg-type]
    for line in (b"a", b"b", b"c"):
        teller.log(line)
    teller.leave(0)
    assert shut.lost == 3


def test_a_signal_handler_that_logs_meanwhile_is_heard_in_its_turn():
    full = Full(3)
    teller = Teller(full, Guard())  # type: ignore[arg-type]
    offer = full.offer

    def interrupted(kind: int, payload: bytes) -> bool:
        full.offer = offer  # type: ignore[method-assign]
        teller.log(b"b")
        return offer(kind, payload)

    full.offer = interrupted  # type: ignore[method-assign]
    teller.log(b"a")
    assert full.heard == [(b"a", 1), (b"b", 1)]


def test_a_thread_that_logs_meanwhile_waits_for_its_turn():
    """A task's context goes with its threads."""
    full = Full(3)
    teller = Teller(full, Guard())  # type: ignore[arg-type]
    other = threading.Thread(target=teller.log, args=(b"b",))
    offer = full.offer

    def overtaken(kind: int, payload: bytes) -> bool:
        full.offer = offer  # type: ignore[method-assign]
        other.start()
        other.join(0.2)
        return offer(kind, payload)

    full.offer = overtaken  # type: ignore[method-assign]
    teller.log(b"a")
    other.join(10)
    assert full.heard == [(b"a", 1), (b"b", 1)]


FIELDS = json.loads(encode_fact(published()))[1]


def fact_with(**changed: Any) -> bytes:
    return json.dumps(["Published", {**FIELDS, **changed}]).encode()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        pytest.param(0, b"", id="no-kind"),
        pytest.param(5, b"{}", id="kind-of-tomorrow"),
        pytest.param(SPANS, b"\x01", id="spans-without-a-count"),
        pytest.param(NOTES, b"short", id="notes-too-short"),
        pytest.param(NOTES, b"\xff" * 24, id="notes-for-no-span"),
        pytest.param(FACT, b"", id="no-fact"),
        pytest.param(FACT, b"\xff", id="no-text"),
        pytest.param(FACT, b"[1]", id="one-value"),
        pytest.param(FACT, b'["Published", 1]', id="no-fields"),
        pytest.param(FACT, b'["Published", []]', id="fields-without-names"),
        pytest.param(FACT, b'["Published", {}]', id="fields-are-missing"),
        pytest.param(FACT, b'["Trace", {}]', id="no-class-of-a-fact"),
        pytest.param(FACT, b'[["Published"], {}]', id="class-is-no-text"),
        pytest.param(FACT, fact_with(own=5), id="trace-is-a-number"),
        pytest.param(FACT, fact_with(own=["a"] * 9), id="trace-too-long"),
        pytest.param(FACT, fact_with(told=5), id="told-is-a-number"),
        pytest.param(FACT, fact_with(more=1), id="field-of-tomorrow"),
        pytest.param(FACT, fact_with(notes="€"), id="notes-are-no-bytes"),
        pytest.param(FACT, b"[" * 100_000, id="deep"),
        pytest.param(FAULTS, b"[]", id="faults-without-hooks"),
        pytest.param(FAULTS, b'{"a": "b"}', id="fault-is-no-number"),
        pytest.param(FAULTS, b'{"a": null}', id="fault-is-nothing"),
        pytest.param(FAULTS, b'{"a": Infinity}', id="endless-faults"),
    ],
)
def test_what_no_pool_process_writes_is_a_value_error(line: Line, kind: int, payload: bytes):
    """Main counts it and listens on."""
    with pytest.raises(ValueError, match=r"."):
        line.send(kind, payload)
    assert line.heard == []


@given(
    st.integers(0, 9),
    st.one_of(
        st.binary(),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.sampled_from([*FIELDS, "notes", "x"]), inner, max_size=4)
                | st.tuples(st.sampled_from(["Published", "Eager"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_no_bytes_at_all_raise_anything_else(kind: int, payload: bytes):
    line = Line()
    try:
        line.send(kind, payload)
    except ValueError:
        assert line.heard == []
