"""What travels in a message's headers?"""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_celery import conventions as c
from otel_celery import envelope
from otel_celery.envelope import (
    NO_PARENT,
    Trace,
    clean_state,
    parse_origin,
    parse_traceparent,
    read_handle,
    write,
)

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TEXT = f"00-{TRACE_ID}-{SPAN_ID}-01"
OWN = Trace(TRACE_ID, SPAN_ID, True)
ORIGIN = Trace("ab" * 16, "cd" * 8, False)
LONG = "x" * 1_000_000
MANY = ",".join(f"k{number}=v" for number in range(250_000))


class Text(str):
    """No header that a broker delivers."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("header", "found"),
    [
        pytest.param(TEXT, OWN, id="sampled"),
        pytest.param(TEXT[:-2] + "00", OWN._replace(sampled=False), id="not-sampled"),
        pytest.param(TEXT[:-2] + "03", OWN, id="further-flags"),
        pytest.param(TEXT[:-2] + "fe", OWN._replace(sampled=False), id="all-flags-but-that"),
        pytest.param("01" + TEXT[2:], OWN, id="a-later-version"),
        pytest.param("cc" + TEXT[2:] + "-what-comes", OWN, id="a-later-version-with-more"),
    ],
)
def test_a_traceparent_names_a_context(header: str, found: Trace):
    assert parse_traceparent(header) == found


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="none"),
        pytest.param(TEXT.encode(), id="bytes"),
        pytest.param(7, id="number"),
        pytest.param({"00": TEXT}, id="dict"),
        pytest.param([TEXT], id="list"),
        pytest.param(Text(TEXT), id="a-class-of-its-own"),
        pytest.param("", id="empty"),
        pytest.param(TEXT.upper(), id="upper-case"),
        pytest.param(f"00-{'0' * 32}-{SPAN_ID}-01", id="trace-id-zero"),
        pytest.param(f"00-{TRACE_ID}-{NO_PARENT}-01", id="span-id-zero"),
        pytest.param("ff" + TEXT[2:], id="version-ff"),
        pytest.param("ff" + TEXT[2:] + "-more", id="version-ff-with-more"),
        pytest.param("0" + TEXT[2:], id="version-too-short"),
        pytest.param(TEXT + "-more", id="version-00-with-more"),
        pytest.param(TEXT + "0", id="version-00-too-long"),
        pytest.param("01" + TEXT[2:] + "0", id="a-later-version-without-a-dash"),
        pytest.param(TEXT[:-1], id="cut-off"),
        pytest.param(" " + TEXT, id="space-before"),
        pytest.param(TEXT + "\n", id="newline-after"),
        pytest.param("01" + TEXT[2:] + "-\n", id="newline-in-what-is-more"),
        pytest.param(TEXT.replace("0af7", "0ag7"), id="no-hex"),
        pytest.param(TEXT.replace("0af7", "\u0660af7"), id="digits-of-another-script"),
        pytest.param(TEXT.replace("-", "_"), id="no-dashes"),
        pytest.param("\ud800" + TEXT[1:], id="no-utf-8"),
        pytest.param("01" + TEXT[2:] + "-" + LONG, id="a-megabyte"),
    ],
)
def test_a_malformed_traceparent_is_absent(header: Any):
    """Which means a new trace."""
    assert parse_traceparent(header, "a=1") is None


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        pytest.param("a=1,b=2", "a=1,b=2", id="as-it-came"),
        pytest.param("x" * 512, "x" * 512, id="as-long-as-must-be-carried"),
        pytest.param(None, "", id="none"),
        pytest.param(b"a=1", "", id="bytes"),
        pytest.param({"a": 1}, "", id="dict"),
        pytest.param(["a=1"], "", id="list"),
        pytest.param("x" * 513, "", id="too-long"),
        pytest.param("a=é", "", id="no-ascii"),
        pytest.param("a=1\n", "", id="newline"),
        pytest.param("a=\x00", "", id="nul"),
        pytest.param(MANY, "", id="250000-keys"),
    ],
)
def test_a_tracestate_is_carried_if_it_is_safe(header: Any, kept: str):
    assert clean_state(header) == kept
    assert parse_traceparent(TEXT, header) == OWN._replace(state=kept)


def test_hostile_headers_cost_no_time():
    """Each is refused before it is parsed."""
    begin = time.process_time()
    for _ in range(1000):
        parse_traceparent("01" + TEXT[2:] + "-" + LONG, MANY)
        parse_traceparent(TEXT, MANY)
        parse_origin(LONG)
    assert time.process_time() - begin < 0.5


@given(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.lists(st.text())))
def test_no_value_makes_a_reader_raise(value: Any):
    assert parse_traceparent(value, value) is None
    assert parse_origin(value) is None
    assert read_handle(value) is None
    assert isinstance(clean_state(value), str)


@given(
    st.builds(
        Trace,
        st.binary(min_size=16, max_size=16).filter(any).map(bytes.hex),
        st.binary(min_size=8, max_size=8).filter(any).map(bytes.hex),
        st.booleans(),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=512),
    )
)
def test_what_is_written_is_read(own: Trace):
    headers: dict[str, Any] = {}
    write(headers, own, own, 1.5)
    assert parse_traceparent(headers[c.TRACEPARENT], headers.get(c.TRACESTATE)) == own
    assert parse_origin(headers[c.ORIGIN]) == own._replace(state="")
    assert read_handle({c.HANDLE: (own.header(), own.state)}) == (own.header(), own.state)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        pytest.param(ORIGIN.header(), ORIGIN, id="a-parent"),
        pytest.param(f"00-{TRACE_ID}-{NO_PARENT}-01", OWN._replace(span_id=NO_PARENT), id="a-root"),
        pytest.param(f"00-{'0' * 32}-{SPAN_ID}-01", None, id="trace-id-zero"),
        pytest.param("01" + TEXT[2:], None, id="another-version"),
        pytest.param(TEXT[:-2] + "02", None, id="flags-that-we-never-write"),
        pytest.param(TEXT.upper(), None, id="upper-case"),
        pytest.param(TEXT.encode(), None, id="bytes"),
        pytest.param(TEXT[:-1], None, id="cut-off"),
        pytest.param(7, None, id="number"),
    ],
)
def test_an_origin_is_read_as_strictly_as_we_write_it(header: Any, found: Trace | None):
    assert parse_origin(header) == found


def test_headers_are_written_anew_and_those_of_others_stay():
    headers = {c.TRACESTATE: "old=1", c.ORIGIN: TEXT, c.SENT: "1", "tenant": "a", "id": "i"}
    write(headers, OWN, None, 1_700_000_000.25)
    assert headers == {
        "tenant": "a",
        "id": "i",
        c.TRACEPARENT: TEXT,
        c.SENT: "1700000000.250000",
    }
    write(headers, OWN._replace(state="new=1"), ORIGIN, 1_700_000_001.0)
    assert headers == {
        "tenant": "a",
        "id": "i",
        c.TRACEPARENT: TEXT,
        c.TRACESTATE: "new=1",
        c.ORIGIN: ORIGIN.header(),
        c.SENT: "1700000001.000000",
    }


def test_a_message_grows_by_less_than_300_bytes_and_by_none_per_retry():
    """What a trace state of others weighs is theirs."""
    headers: dict[str, Any] = {}
    sizes = []
    for attempt in range(5):
        write(headers, OWN, ORIGIN, 1_700_000_000.0 + attempt)
        sizes.append(sum(len(key) + len(value) for key, value in headers.items()))
    assert len(set(sizes)) == 1
    assert sizes[0] + 4 * len(headers) < 300  # quotes, colons and commas in JSON


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(None, id="none"),
        pytest.param("text", id="text"),
        pytest.param({}, id="nothing-of-ours"),
        pytest.param({c.HANDLE: "00-x"}, id="text-of-ours"),
        pytest.param({c.HANDLE: (TEXT,)}, id="one"),
        pytest.param({c.HANDLE: (TEXT, "", 1)}, id="three"),
    ],
)
def test_no_handle(told: Any):
    assert read_handle(told) is None


def test_a_handle_that_travelled_as_json_is_a_list():
    assert read_handle({c.HANDLE: [TEXT, "a=1"]}) == (TEXT, "a=1")


def test_new_ids_are_never_zero_and_never_twice(monkeypatch: pytest.MonkeyPatch):
    traces = {envelope.new_trace_id() for _ in range(1000)}
    spans = {envelope.new_span_id() for _ in range(1000)}
    assert (len(traces), len(spans)) == (1000, 1000)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in traces)
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in spans)
    drawn = iter([b"\0" * 8, b"\1" * 8])
    monkeypatch.setattr(envelope.os, "urandom", lambda size: next(drawn))
    assert envelope.new_span_id() == "01" * 8
