"""What do a message's headers say of its delivery?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_celery import conventions as c
from otel_celery.headers import read_headers
from otel_celery.otlp import encode_span
from otel_celery.spans import Identity, Notes, process_span
from tests.unit.stand_ins import delivery, ended

HEADERS: dict[str, Any] = {
    "otel-celery-sent": "1700000000.25",
    "eta": "2023-11-14T22:13:21+00:00",
    "expires": "2030-01-01T00:00:00+00:00",
    "retries": 2,
    "root_id": "root",
    "parent_id": "parent",
    "group": "group",
    "timelimit": [30, 20],
    "delivery_info": {"priority": 5},
    "argsrepr": "('redis://:secret@host', 1)",
    "kwargsrepr": "{'a': " + "x" * 2000,
}


def run() -> None:
    """A task's body."""


TASK = SimpleNamespace(time_limit=60, soft_time_limit=None, run=run)


@pytest.mark.parametrize(
    ("headers", "task", "capture", "attributes"),
    [
        pytest.param({}, None, (), {}, id="nothing"),
        pytest.param(
            HEADERS,
            None,
            (),
            {
                c.TASK_RETRIES: 2,
                c.TASK_ETA: "2023-11-14T22:13:21+00:00",
                c.TASK_EXPIRES: "2030-01-01T00:00:00+00:00",
                c.TASK_ROOT_ID: "root",
                c.TASK_PARENT_ID: "parent",
                c.TASK_GROUP_ID: "group",
                c.TASK_PRIORITY: 5,
                c.TASK_TIME_LIMIT: 30.0,
                c.TASK_SOFT_TIME_LIMIT: 20.0,
            },
            id="all",
        ),
        pytest.param(
            {"timelimit": [None, 20], "retries": 0, "delivery_info": {"priority": 0}},
            TASK,
            (),
            {
                c.TASK_TIME_LIMIT: 60.0,
                c.TASK_SOFT_TIME_LIMIT: 20.0,
                c.CODE_FUNCTION: f"{__name__}.run",
            },
            id="a-limit-of-the-task-s-own",
        ),
        pytest.param(
            {key: HEADERS[key] for key in ("argsrepr", "kwargsrepr")},
            None,
            ("args",),
            {
                c.TASK_ARGS: "('redis://***@host', 1)",
                c.TASK_KWARGS: "{'a': " + "x" * 1017 + "…",
            },
            id="arguments-only-where-asked-for",
        ),
    ],
)
def test_what_headers_say_of_a_delivery(
    headers: dict[str, Any], task: Any, capture: tuple[str, ...], attributes: dict[str, Any]
):
    of = delivery(sent_at=None, task=task)
    read_headers(of, headers, capture)
    assert of.attributes == attributes


@pytest.mark.parametrize(
    ("headers", "sent_at", "due_at"),
    [
        pytest.param(HEADERS, 1700000000.25, 1700000001.0, id="ours"),
        pytest.param({"properties": {"timestamp": 1700000000}}, 1700000000.0, None, id="amqp"),
        pytest.param({"otel-celery-sent": "yesterday", "eta": "soon"}, None, None, id="nonsense"),
        pytest.param({"properties": None, "delivery_info": None}, None, None, id="nothing"),
    ],
)
def test_when_a_message_was_sent_and_is_due(
    headers: dict[str, Any], sent_at: float | None, due_at: float | None
):
    of = delivery(sent_at=None)
    read_headers(of, headers, ())
    assert (of.sent_at, of.due_at) == (sent_at, due_at)


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_stamp_is_found_where_the_context_is(where: str):
    """Protocol 1 has headers one level down; the AMQP timestamp knows seconds only."""
    ours = {c.TRACEPARENT: f"00-{'ab' * 16}-{'cd' * 8}-01", c.SENT: "1700000000.25"}
    of = delivery(sent_at=None)
    headers = ours if where == "headers" else {"headers": ours}
    read_headers(of, {**headers, "properties": {"timestamp": 1700000000}}, ())
    assert of.sent_at == 1700000000.25


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    ("headers", "attributes"),
    [
        pytest.param({"root_id": LONG, "group": LONG}, 2, id="long"),
        pytest.param({"root_id": {"a": LONG}, "parent_id": [LONG], "group": b"x"}, 0, id="no-text"),
        pytest.param({"retries": LONG, "eta": [1], "expires": {"a": 1}}, 0, id="no-number"),
        pytest.param({"retries": True, "delivery_info": {"priority": {"a": LONG}}}, 0, id="nested"),
        pytest.param({"delivery_info": [1], "properties": "text"}, 0, id="no-mappings"),
        pytest.param({"timelimit": 5}, 0, id="limits-are-a-number"),
        pytest.param({"timelimit": ["soon", 10**400]}, 0, id="limits-make-no-sense"),
        pytest.param({"timelimit": [1, 2, 3]}, 0, id="too-many-limits"),
    ],
)
def test_what_makes_no_sense_is_left_out_and_what_is_too_long_is_cut(
    headers: dict[str, Any], attributes: int
):
    """A megabyte in a header of a stranger's is none in a span."""
    of = delivery(sent_at=None)
    read_headers(of, headers, ())
    assert len(of.attributes) == attributes
    assert all(len(value) == 255 for value in of.attributes.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
KNOWN = st.sampled_from(
    [*HEADERS, "properties", "headers", "traceparent", "tracestate", "baggage", "kwargsrepr"]
)


@given(st.dictionaries(KNOWN, JSON | st.dictionaries(st.just("timestamp"), JSON)))
def test_no_headers_make_a_span_that_cannot_be_read(headers: dict[str, Any]):
    """Whatever a stranger writes, all else of the delivery is told."""
    of = delivery()
    read_headers(of, headers, ("args",))
    span = process_span(ended(of), Notes(), Identity("w@host", "prefork"), None)
    found = Span.FromString(encode_span(span))
    assert found.name == "process shop.pay"
    assert found.dropped_attributes_count == 0
    assert found.ByteSize() < 8192
