"""How does `otel-celery status` show what it sees, once or again and again?"""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence

from otel_celery.cli.apps import find
from otel_celery.cli.snapshot import Look, Snapshot

ANSWERED, SILENT = 0, 1
_MOST_TASKS = 10
_CLEAR = "\x1b[H\x1b[2J"


def run_status(arguments: Namespace, pause: Callable[[float], None] = time.sleep) -> int:
    """Print what is seen; return whether the broker answered the last time.

    Raises:
        OtelCeleryError: the app cannot be had.
    """
    app = find(arguments.app, arguments.broker, arguments.queue)
    look = Look(app, arguments.queue, arguments.timeout, ask_workers=not arguments.no_workers)
    status = SILENT
    try:
        while True:
            snapshot = look()
            status = ANSWERED if snapshot.answered else SILENT
            show(snapshot, as_json=arguments.json, anew=arguments.watch is not None)
            if arguments.watch is None:
                return status
            pause(arguments.watch)
    except KeyboardInterrupt:
        return status


def show(snapshot: Snapshot, *, as_json: bool, anew: bool) -> None:
    """Print; on a terminal that is watched, in place of what was there."""
    text = json.dumps(snapshot.as_dict()) if as_json else as_text(snapshot)
    if anew and not as_json and sys.stdout.isatty():
        text = _CLEAR + text
    print(text, flush=True)


def as_text(snapshot: Snapshot) -> str:
    """Return tables for people; what is not known is a dash."""
    return "\n".join(_lines(snapshot))


def _lines(snapshot: Snapshot) -> Iterator[str]:
    broker = snapshot.broker
    if error := broker.error or snapshot.error:
        yield f"{broker.system} does not answer: {error}"
        return
    if broker.seconds is None:
        yield f"{broker.system}: there is no reader for its queues"
    else:
        held = "" if snapshot.unacked is None else f", {snapshot.unacked} unacknowledged in all"
        yield f"{broker.system} answered in {broker.seconds * 1000:.0f} ms{held}"
        yield ""
        yield from table(
            ("queue", "ready", "unacked", "delayed", "consumers", "oldest"),
            [
                (one.queue, one.ready, one.unacked, one.delayed, one.consumers, age(one.oldest_age))
                for one in snapshot.queues
            ],
        )
    if snapshot.workers is None:
        return
    yield ""
    if not snapshot.workers:
        yield "no worker answered"
        return
    yield from table(
        ("worker", "pid", "up", "pool", "size", "prefetch", "taken"),
        [
            (
                w.worker,
                w.pid,
                age(w.uptime),
                w.pool,
                w.concurrency,
                w.prefetch,
                sum(w.tasks.values()),
            )
            for w in snapshot.workers
        ],
    )
    yield ""
    yield from table(("task", "taken"), snapshot.tasks[:_MOST_TASKS])


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield lines in columns, numbers to the right of theirs."""
    cells = [[fit(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *rest in cells:
        fitted = (f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join((f"{first:<{widths[0]}}", *fitted))


def fit(cell: object) -> str:
    """Return a cell's text; what a name may hold to command a terminal is left out."""
    return "-" if cell is None else "".join(filter(str.isprintable, str(cell)))


def age(seconds: float | None) -> str | None:
    """Return a duration for people: `12s`, `3m05s`, `2h07m`, `4d01h`."""
    if seconds is None:
        return None
    whole = int(seconds)
    for size, unit, part, smaller in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02}{smaller}"
    return f"{whole}s"
