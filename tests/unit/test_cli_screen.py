from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from otel_celery import conventions as c
from otel_celery.cli.screen import (
    Room,
    View,
    count,
    draw,
    place_table,
    seconds,
    share_out,
    task_table,
    trace_table,
)
from otel_celery.view.figures import QueueRow, WorkerRow, task_rows
from otel_celery.view.store import Store
from otel_celery.view.waterfall import lay_out
from tests.unit.cli_wire import NOW, ORDER, PAY, WORKER, filled, histogram, metrics, span, traces


def text_of(renderable, width=120):
    """Return the lines as a person sees them, without colours and trailing blanks."""
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]


def screen(store, width=120, height=None):
    view = View("selling", ["broker: files"], store.snapshot(), NOW)
    return text_of(draw(view, width, height), width)


def test_the_screen_says_what_goes_on():
    assert screen(filled())[:2] == ["otel-celery demo  selling", "broker: files"]


@pytest.mark.parametrize(
    ("width", "what", "label", "row"),
    [
        pytest.param(
            120,
            "wait wait run run",
            "task runs ok failed expected retried lost timeout p50 p95 p50 p95",
            "pay 7 3 1 1 2 · · 88 ms 1.0 s 70 ms 842 ms",
            id="wide",
        ),
        pytest.param(
            70,
            "wait run",
            "task runs ok failed expected retried lost timeout p95 p95",
            "pay 7 3 1 1 2 · · 1.0 s 842 ms",
            id="narrow-without-medians",
        ),
    ],
)
def test_a_task_is_a_row_of_counts_and_times(width, what, label, row):
    lines = screen(filled(), width)
    at = next(number for number, line in enumerate(lines) if line.startswith("task"))
    assert [" ".join(line.split()) for line in lines[at - 1 : at + 3 : 1] if "─" not in line] == [
        what,
        label,
        row,
    ]
    assert max(map(len, lines)) <= width


def test_queues_and_workers_say_where_messages_are():
    lines = text_of(
        place_table(
            [QueueRow("orders", 2, 1.5), QueueRow("mail", 0, 0.0)],
            [WorkerRow("celery@host", 3.0, 4, 1, 0, 2, {"signal": 2})],
        )
    )
    assert lines == [
        "queue   orders       2 waiting, oldest 1.5 s",
        "queue   mail         0 waiting",
        "worker  celery@host  heartbeat 3.0 s ago, 1 active, 0 reserved, 2 scheduled",
        "                     4 pool processes, ended so far: 2 by signal",
    ]


def test_an_unknown_depth_is_said_and_not_drawn_as_zero():
    lines = text_of(place_table([QueueRow("orders", None, None)], []))
    assert lines == ["queue  orders  depth not known"]


def test_a_trace_is_a_waterfall():
    lines = text_of(trace_table(lay_out(ORDER), 9), width=80)
    assert lines == [
        "trace 00000000000000000000000000000001, 4 spans, 875 ms",
        "POST /orders/invoice shop-web    ━                                         16 ms",
        "  publish pay        shop-web    ━                                          6 ms",
        "    process pay      shop-worker                       ━━━━━━━━━━━━━━━━━━ 375 ms",
        "      ask the bank   shop-worker                             ━━━━━━       125 ms",
    ]


def test_a_long_trace_is_cut_to_the_room_there_is():
    lines = text_of(trace_table(lay_out(ORDER), 3), width=80)
    assert [line.split()[0] for line in lines[1:]] == ["POST", "publish", "..."]
    assert lines[-1] == "... 2 more spans"


@pytest.mark.parametrize("height", [24, 30, 50])
def test_the_screen_fits_the_terminal_and_keeps_a_bit_of_everything(height):
    store = filled()
    store.add_traces(
        traces(*(span(i, f"s{i}", "internal", (0.5, 0.6), parent=3) for i in range(10, 60)))
    )
    for i in range(12):
        task = {**PAY, c.TASK_NAME: f"task-{i}"}
        store.add_metrics(metrics(WORKER, histogram(c.PROCESS_DURATION, [1, 0], [0.1], task)))
    lines = screen(store, height=height)
    assert len(lines) <= height
    for first in ("task", "pay", "worker", "trace", "POST", "ledger"):
        assert any(line.startswith(first) for line in lines), first


@pytest.mark.parametrize(
    ("left", "room"),
    [
        pytest.param(None, Room(2, 13, 10), id="endless"),
        pytest.param(25, Room(2, 13, 10), id="enough"),
        pytest.param(20, Room(2, 13, 5), id="bars-give-way-first"),
        pytest.param(18, Room(0, 13, 5), id="then-remarks"),
        pytest.param(10, Room(0, 6, 4), id="then-tasks"),
        pytest.param(1, Room(0, 3, 4), id="never-nothing"),
    ],
)
def test_lines_are_shared_by_worth(left, room):
    assert share_out(left, remarks=2, tasks=13, bars=10) == room


def test_without_room_for_all_the_busiest_tasks_are_shown():
    rows = [replace(task_rows(filled().snapshot())[0], name=f"t{n}", runs=n) for n in range(1, 6)]
    lines = text_of(task_table(rows, 100, room=3))
    assert [line.split()[0] for line in lines[3:]] == ["t4", "t5", "..."]
    assert lines[-1] == "... 3 more tasks"


def test_before_anything_arrives_there_is_a_screen_too():
    lines = screen(Store())
    assert "no complete trace yet" in lines
    assert lines[-1] == "ledger  published 0 = ended 0 + waiting 0 + running 0"


def test_the_ledger_is_the_last_line():
    last = screen(filled())[-1]
    assert last == "ledger  published 10 = ended 6 + waiting 3 + running 1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "-", id="not-measured"),
        pytest.param(0.0, "0 ms", id="nothing"),
        pytest.param(0.0001, "<1 ms", id="less-than-can-be-said"),
        pytest.param(0.0425, "42 ms", id="milliseconds"),
        pytest.param(0.9996, "1.0 s", id="rounded-up-to-a-second"),
        pytest.param(12.34, "12.3 s", id="seconds"),
        pytest.param(3600.0, "3600 s", id="long"),
    ],
)
def test_durations_are_short(value, text):
    assert seconds(value) == text


def test_zero_is_a_dot_so_that_numbers_stand_out():
    assert (str(count(0)), str(count(12))) == ("·", "12")
