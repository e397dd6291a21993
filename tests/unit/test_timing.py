"""How long did a task wait, and since when?"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_celery.timing import due_time, prefetch_wait, queue_wait, stamp

UNIX = 1_700_000_000.0  # 2023-11-14T22:13:20Z
YEAR_10000 = 253_402_300_800.0


@pytest.mark.parametrize(
    ("sent", "started", "due", "expected"),
    [
        pytest.param(100.0, 103.0, 0.0, (3.0, False), id="waited"),
        pytest.param(100.0, 161.0, 160.0, (1.0, False), id="countdown-is-not-waiting"),
        pytest.param(100.0, 103.0, 90.0, (3.0, False), id="due-before-it-was-sent"),
        pytest.param(100.0, 99.5, 0.0, (0.0, True), id="worker-clock-behind"),
        pytest.param(100.0, 159.99, 160.0, (0.0, False), id="timer-rang-early"),
        pytest.param(100.0, 100.0, 0.0, (0.0, False), id="at-once"),
    ],
)
def test_waiting_starts_when_the_task_is_due(sent, started, due, expected):
    """Only time after the due moment counts, and never below zero."""
    assert queue_wait(sent, started, due) == expected


@pytest.mark.parametrize(
    ("received", "started", "due", "expected"),
    [
        pytest.param(100.0, 103.0, 0.0, 3.0, id="held"),
        pytest.param(100.0, 161.0, 160.0, 1.0, id="eta-is-not-waiting"),
        pytest.param(100.0, 99.0, 0.0, 0.0, id="clock-set-back"),
    ],
)
def test_a_worker_holds_only_what_is_due(received, started, due, expected):
    """Prefetch shows a busy pool, not a far eta."""
    assert prefetch_wait(received, started, due) == expected


@pytest.mark.parametrize(
    ("eta", "expected"),
    [
        pytest.param("2023-11-14T22:13:20+00:00", UNIX, id="as-celery-sends"),
        pytest.param("2023-11-14T22:13:20.500000+00:00", UNIX + 0.5, id="microseconds"),
        pytest.param("2023-11-14T22:13:20.5Z", UNIX + 0.5, id="one-decimal"),
        pytest.param("2023-11-14T22:13:20.500000000Z", UNIX + 0.5, id="nanoseconds"),
        pytest.param("2023-11-14T22:13:20", UNIX, id="naive-is-utc"),
        pytest.param("2023-11-15 00:13:20+0200", UNIX, id="space-and-no-colon"),
        pytest.param("2023-11-14T17:13:20-05", UNIX, id="hours-alone"),
        pytest.param("2023-11-14T22:13Z", UNIX - 20, id="no-seconds"),
        pytest.param("2023-11-14", UNIX - 80_000, id="a-day"),
        pytest.param(datetime(2023, 11, 14, 22, 13, 20), UNIX, id="datetime"),
        pytest.param(
            datetime(2023, 11, 14, 23, 13, 20, tzinfo=timezone(timedelta(hours=1))),
            UNIX,
            id="datetime-with-offset",
        ),
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param("tomorrow", None, id="words"),
        pytest.param("2023-13-14T22:13:20", None, id="month-13"),
        pytest.param("2023-11-14T25:00:00", None, id="hour-25"),
        pytest.param("2023-11-14T22:13:20+99:00", None, id="offset-of-days"),
        pytest.param("2023-11-14T22:13:20\n", None, id="line-end"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="before-time"),
        pytest.param("9999-12-31T23:59:59-14:00", None, id="after-time"),
        pytest.param("\uff11\uff12\uff13\uff14-11-14", None, id="digits-of-other-scripts"),
        pytest.param("2023-11-14T22:13:20." + "0" * 1_000_000, None, id="a-megabyte"),
        pytest.param(1_700_000_000, None, id="number"),
        pytest.param(["2023-11-14"], None, id="list"),
    ],
)
def test_an_eta_is_an_instant_or_nothing(eta, expected):
    """What other producers write is read; what makes no sense is absent."""
    assert due_time(eta) == expected


@given(
    st.datetimes(datetime(1971, 1, 1), timezones=st.just(timezone.utc)),
    st.integers(-23 * 60, 23 * 60),
)
def test_what_isoformat_writes_is_read(moment, minutes):
    """For every instant, in every zone, of which Celery may send."""
    zone = timezone(timedelta(minutes=minutes))
    if moment.year < 9999:
        assert due_time(moment.astimezone(zone).isoformat()) == moment.timestamp()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("1700000000.25", UNIX + 0.25, id="header"),
        pytest.param(b"1700000000", UNIX, id="bytes"),
        pytest.param(1_700_000_000, UNIX, id="amqp-timestamp"),
        pytest.param(UNIX, UNIX, id="float"),
        pytest.param(datetime(2023, 11, 14, 22, 13, 20), UNIX, id="amqp-table-timestamp"),
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param("now", None, id="words"),
        pytest.param(b"\xff", None, id="binary"),
        pytest.param("nan", None, id="nan"),
        pytest.param(float("inf"), None, id="inf"),
        pytest.param(0, None, id="zero"),
        pytest.param(-1.0, None, id="negative"),
        pytest.param(True, None, id="bool"),
        pytest.param(10**400, None, id="beyond-float"),
        pytest.param(1_700_000_000_000, None, id="milliseconds"),
        pytest.param("1" * 1_000_000, None, id="a-megabyte"),
        pytest.param([UNIX], None, id="list"),
    ],
)
def test_a_publish_stamp_is_an_instant_or_nothing(value, expected):
    """Headers are untrusted."""
    assert stamp(value) == expected


@given(st.one_of(st.text(), st.binary(), st.floats(), st.integers(), st.datetimes(), st.none()))
def test_no_stamp_and_no_eta_can_raise(value):
    """Whatever it is, it is a sane instant or nothing."""
    for read in (stamp, due_time):
        found = read(value)
        assert found is None or 0 < found < YEAR_10000
