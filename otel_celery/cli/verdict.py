"""Did the demo show what it is there to show?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from otel_celery.cli.ledger import Ledger, build_ledger
from otel_celery.view.figures import TaskRow, quantile, queue_rows, task_rows, worker_rows
from otel_celery.view.records import Snapshot
from otel_celery.view.waterfall import is_complete, lay_out, pick


@dataclass(frozen=True)
class Verdict:
    """What is there and what is missing; nothing missing is success."""

    missing: Sequence[str]
    ledger: Ledger | None = None  # None: the telemetry went elsewhere
    complete_traces: int = 0

    @property
    def ok(self) -> bool:
        return not self.missing


def judge(snapshot: Snapshot, at: float, exits: Mapping[str, int]) -> Verdict:
    """Ask for a ledger that adds up, a complete trace, and programs that ended well.

    Args:
        snapshot: what arrived until all programs had ended.
        at: Unix seconds when the last of them was asked to stop.
        exits: exit statuses by program.
    """
    ledger = build_ledger(snapshot, at)
    complete = sum(map(is_complete, snapshot.traces.values()))
    missing = [f"the ledger does not hold: {gap}" for gap in ledger.gaps()]
    if not complete:
        missing.append("no trace leads from a caller over its publish to the task")
    return Verdict([*missing, *judge_exits(exits).missing], ledger, complete)


def judge_exits(exits: Mapping[str, int]) -> Verdict:
    """Ask for programs that ended well, and nothing else."""
    return Verdict([f"{name} ended with {status}" for name, status in exits.items() if status])


def report(snapshot: Snapshot, at: float, verdict: Verdict, broker: str) -> dict[str, Any]:
    """Return all of it for a machine: durations in seconds, None where nothing was measured."""
    return {
        "ok": verdict.ok,
        "missing": list(verdict.missing),
        "broker": broker,
        "ledger": None if verdict.ledger is None else asdict(verdict.ledger),
        "tasks": [report_task(row) for row in task_rows(snapshot)],
        "queues": [asdict(row) for row in queue_rows(snapshot, at)],
        "workers": [asdict(row) for row in worker_rows(snapshot, at)],
        "traces": {
            "complete": verdict.complete_traces,
            "shown": [
                {
                    "name": bar.span.name,
                    "kind": bar.span.kind,
                    "service": bar.span.service,
                    "depth": bar.depth,
                    "seconds": bar.span.end - bar.span.start,
                }
                for bar in lay_out(pick(snapshot.traces.values()))
            ],
        },
    }


def report_task(row: TaskRow) -> dict[str, Any]:
    counts = {name: value for name, value in vars(row).items() if isinstance(value, int | str)}
    return counts | {
        what: {"p50": quantile(histogram, 0.5), "p95": quantile(histogram, 0.95)}
        for what, histogram in (("wait", row.wait), ("run", row.run))
    }
