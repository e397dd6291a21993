"""The message at the head tells how long a queue has waited."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_celery.conventions import SENT
from otel_celery.queues.head import waited

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00+00:00


def stored(sent: Any = None, timestamp: Any = None, eta: Any = None) -> str:
    """Return a message as kombu's virtual transports keep it."""
    headers = {"task": "t", "eta": eta, **({SENT: sent} if sent is not None else {})}
    properties = {"timestamp": timestamp} if timestamp is not None else {}
    return json.dumps({"body": "W10=", "headers": headers, "properties": properties})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(stored("1799999990.250000"), 9.75, id="stamp"),
        pytest.param(stored(1799999990.25), 9.75, id="stamp-as-number"),
        pytest.param(stored(None, 1799999988), 12.0, id="amqp-timestamp"),
        pytest.param(stored("1799999990", 1), 10.0, id="stamp-before-timestamp"),
        pytest.param(stored("soon", 1799999988), 12.0, id="malformed-stamp"),
        pytest.param(stored(), None, id="unstamped"),
        pytest.param(stored(eta="2027-01-15T09:00:00+00:00"), None, id="unstamped-with-eta"),
        pytest.param(stored("1800000005"), 0.0, id="sender-clock-ahead"),
        pytest.param(stored("nan"), None, id="nan"),
        pytest.param(stored("-inf"), None, id="infinite"),
        pytest.param(stored("9" * 400), None, id="too-large"),
        pytest.param(stored(True), None, id="bool"),
        pytest.param(stored("0"), None, id="zero"),
        pytest.param(stored("1799999000", eta="2027-01-15T07:59:58+00:00"), 2.0, id="eta-came"),
        pytest.param(stored("1799999000", eta="2027-01-15T08:59:58+01:00"), 2.0, id="eta-zone"),
        pytest.param(stored("1799999000", eta="2027-01-15T07:59:58"), 2.0, id="eta-naive"),
        pytest.param(stored("1799999000", eta="2027-01-15T07:59:58Z"), 2.0, id="eta-zulu"),
        pytest.param(stored("1799999000", eta="2027-01-15T08:00:01+00:00"), 0.0, id="eta-to-come"),
        pytest.param(stored("1799999990", eta="2027-01-01T00:00:00+00:00"), 10.0, id="eta-past"),
        pytest.param(stored("1799999990", eta="tomorrow"), 10.0, id="eta-malformed"),
        pytest.param(stored("1799999990", eta="9999-12-31T23:59:59-23:00"), 0.0, id="eta-far"),
    ],
)
def test_waiting_begins_with_the_later_of_stamp_and_eta(
    message: str, expected: float | None
) -> None:
    """What is not well-formed counts as absent, what is absent as unknown."""
    assert waited(message, NOW) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["headers", "properties", SENT, "timestamp", "eta"]), inner
        )
    ),
)


@given(JSON.map(json.dumps) | st.text() | st.binary())
def test_no_message_is_an_error(message: str | bytes) -> None:
    """Anyone may have put anything into a queue."""
    found = waited(message, NOW)
    assert found is None or found >= 0.0
