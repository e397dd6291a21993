"""How do the figures look to a person at a terminal?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from otel_celery.cli.ledger import Ledger, build_ledger
from otel_celery.view.figures import (
    QueueRow,
    TaskRow,
    WorkerRow,
    quantile,
    queue_rows,
    task_rows,
    worker_rows,
)
from otel_celery.view.records import Snapshot, Span
from otel_celery.view.waterfall import Bar, lay_out, length, pick

MEDIANS = 72  # columns beside a task's name that leave room for medians
GAPS = 12  # columns more, and the table can breathe
FEWEST_BARS, FEWEST_TASKS = 4, 3
HEADINGS = 10  # lines that are always there: title, table head, trace, ledger, blanks
STYLES = {"producer": "yellow", "consumer": "green", "server": "cyan", "client": "blue"}


@dataclass(frozen=True)
class View:
    """What there is to draw at one moment."""

    phase: str
    remarks: Sequence[str]
    snapshot: Snapshot
    now: float  # Unix seconds


def draw(view: View, width: int, height: int | None = None) -> RenderableType:
    """Return the whole screen.

    Args:
        view: what to draw.
        width: columns.
        height: lines; the waterfall takes what the rest leaves. None: as many as it needs.
    """
    tasks = task_rows(view.snapshot)
    queues, workers = queue_rows(view.snapshot, view.now), worker_rows(view.snapshot, view.now)
    bars = lay_out(pick(view.snapshot.traces.values()))
    left = None if height is None else height - HEADINGS - len(queues) - 2 * len(workers)
    room = share_out(left, len(view.remarks), len(tasks), len(bars))
    return Group(
        Text.assemble(("otel-celery demo", "bold"), "  ", (view.phase, "bold cyan")),
        *(Text(remark, "dim") for remark in view.remarks[: room.remarks]),
        Text(),
        task_table(tasks, width, room.tasks),
        Text(),
        place_table(queues, workers),
        Text(),
        trace_table(bars, room.bars),
        Text(),
        ledger_line(build_ledger(view.snapshot, view.now)),
    )


class Room(NamedTuple):
    """How many lines each part may have."""

    remarks: int
    tasks: int
    bars: int


def share_out(left: int | None, remarks: int, tasks: int, bars: int) -> Room:
    """Divide the lines that are left, None: any number, among parts that want so many.

    Bars give way first, down to a few; then the remarks go, then tasks.
    """
    if left is None or remarks + tasks + bars <= left:
        return Room(remarks, tasks, bars)
    few = min(bars, FEWEST_BARS)
    if remarks + tasks + few <= left:
        return Room(remarks, tasks, left - remarks - tasks)
    return Room(0, min(max(left - few, FEWEST_TASKS), tasks), max(left - tasks, few))


def task_table(rows: Sequence[TaskRow], width: int, room: int) -> Table:
    """Return a line for each task; in a narrow terminal without medians.

    Where there is no room for all, the busiest are shown.
    """
    hidden = len(rows) - room + 1 if room < len(rows) else 0
    if hidden:
        busiest = sorted(rows, key=lambda row: row.runs, reverse=True)[: room - 1]
        rows = sorted(busiest, key=lambda row: row.name)
    longest = max((len(row.name) for row in rows), default=0)
    gap = 1 if width >= longest + MEDIANS + GAPS else 0
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, gap, 0, 0), pad_edge=False)
    table.add_column("\ntask", no_wrap=True)
    for name in ("runs", "ok", "failed", "expected", "retried", "lost", "timeout"):
        table.add_column(f"\n{name}", justify="right")
    shares = [(0.5, "p50"), (0.95, "p95")]
    if width < longest + MEDIANS:
        del shares[0]
    for what in ("wait", "run"):
        for _, label in shares:
            table.add_column(f"{what}\n{label}", justify="right", min_width=6)
    for row in rows:
        table.add_row(
            row.name,
            str(row.runs),
            count(row.ok, "green"),
            count(row.failed, "red"),
            count(row.expected),
            count(row.retried + row.requeued, "yellow"),
            count(row.lost, "red"),
            count(row.timeout, "red"),
            *(seconds(quantile(h, share)) for h in (row.wait, row.run) for share, _ in shares),
        )
    if hidden:
        table.add_row(Text(f"... {hidden} more tasks", "dim"))
    return table


def place_table(queues: Sequence[QueueRow], workers: Sequence[WorkerRow]) -> Table:
    """Return where messages are: a line for each queue and each worker."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for queue in queues:
        depth = "depth not known" if queue.waiting is None else f"{queue.waiting} waiting"
        aged = queue.waiting and queue.oldest_age is not None
        age = f", oldest {seconds(queue.oldest_age)}" if aged else ""
        table.add_row(Text("queue", "dim"), queue.name, depth + age)
    for worker in workers:
        late = worker.heartbeat_age > 60
        table.add_row(
            Text("worker", "dim"),
            worker.name,
            Text.assemble(
                (f"heartbeat {seconds(worker.heartbeat_age)} ago", "red" if late else ""),
                f", {worker.active} active, {worker.reserved} reserved,"
                f" {worker.scheduled} scheduled",
            ),
        )
        exits = ", ".join(f"{number} by {reason}" for reason, number in worker.exits.items())
        told = f", ended so far: {exits}" if exits else ""
        table.add_row("", "", f"{worker.pool} pool processes{told}")
    return table


def trace_table(bars: Sequence[Bar], room: int) -> RenderableType:
    """Return one trace as a waterfall of at most `room` lines."""
    if not bars:
        return Text("no complete trace yet", "dim")
    shown = bars if len(bars) <= room else bars[: room - 1]
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(no_wrap=True, max_width=44)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    for bar in shown:
        span = bar.span
        name = Text("  " * bar.depth + span.name, "red" if span.error else "", overflow="ellipsis")
        table.add_row(name, span.service, Strip(bar), seconds(span.end - span.start))
    hidden = (
        [Text(f"... {len(bars) - len(shown)} more spans", "dim")] if len(shown) < len(bars) else []
    )
    return Group(Text(title(bars), "bold"), table, *hidden)


def title(bars: Sequence[Bar]) -> str:
    spans = [bar.span for bar in bars]
    return f"trace {spans[0].trace_id}, {len(spans)} spans, {seconds(length(spans))}"


def ledger_line(ledger: Ledger) -> Text:
    waiting = "?" if ledger.waiting is None else str(ledger.waiting)
    return Text.assemble(
        ("ledger  ", "dim"),
        f"published {ledger.published} = ended {ledger.ended}"
        f" + waiting {waiting} + running {ledger.running}",
    )


class Strip:
    """A bar within its cell: at least one column wide, so that a short span is seen."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        width = options.max_width
        left = min(int(self._bar.left * width), width - 1)
        right = max(round(self._bar.right * width), left + 1)
        yield Segment(" " * left)
        yield Segment("━" * (right - left), Style.parse(style_of(self._bar.span)))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(8, options.max_width)


def style_of(span: Span) -> str:
    return "red" if span.error else STYLES.get(span.kind, "magenta")


def count(number: int, style: str = "") -> Text:
    return Text(str(number), style) if number else Text("·", "dim")


def seconds(value: float | None) -> str:
    """Return a duration in three figures or fewer, with its unit; `-` when there is none."""
    if value is None:
        return "-"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.00095 or value == 0 else "<1 ms"
    return f"{value:.1f} s" if value < 99.95 else f"{value:.0f} s"
