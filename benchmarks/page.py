"""How does docs/performance.md show what was measured?

Each function is one of its tables, see `tests/tables.py`. What was not measured is said to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import results
from benchmarks.micro import PLACES
from benchmarks.peers import SIDES
from benchmarks.results import median, paired

NOT_YET = "Not measured yet: `make bench` does.\n"
WHERE = {
    "publish": "publish, in the caller's way",
    "main": "worker main, in the event loop",
    "pool": "pool process, in the task's way",
}


class Goal(NamedTuple):
    """What we want to stay under; None: nothing was promised."""

    microseconds: float | None
    instructions: float | None


GOALS: Mapping[str, Goal] = {
    "publish": Goal(8, None),
    "main": Goal(2, 20_000),
    "pool": Goal(2, 12_000),
}


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def goals() -> str:
    """Return what we add in each place beside what was wanted."""
    kept, timed = results.kept("instructions"), results.kept("cpu")
    if kept is None:
        return NOT_YET
    rows = []
    for place in PLACES:
        count = _extra_instructions(kept, place, "ours", "hot")
        time = paired(_timed(timed, place), "hot", "ours")
        goal = GOALS[place]
        rows.append(
            (
                WHERE[place],
                _number(count),
                _number(goal.instructions, "at most "),
                _number(time, digits=1),
                _number(goal.microseconds, "at most "),
            )
        )
    return table(("what we add to Celery", "instructions", "goal", "CPU, us", "goal"), rows)


def instructions() -> str:
    """Return the instructions of one task, by side and place."""
    kept = results.kept("instructions")
    if kept is None:
        return NOT_YET
    return _by_place(
        kept, lambda place, side, which: _number(_extra_instructions(kept, place, side, which))
    )


def cpu_time() -> str:
    """Return the microseconds of one task, by side and place."""
    kept = results.kept("cpu")
    if kept is None:
        return NOT_YET
    return _by_place(
        kept,
        lambda place, side, which: _number(paired(_timed(kept, place), which, side), digits=1),
    )


def _by_place(kept: dict[str, Any], cell: Callable[[str, str, str], str]) -> str:
    heads = ["what one task adds to Celery alone"]
    heads += [f"{place}{words}" for place in PLACES for words in (", in its way", ", all")]
    rows = [
        [SIDES[side].title, *(cell(place, side, which) for place in PLACES for which in _WHICH)]
        for side in kept["sides"]
        if side != "bare"
    ]
    return table(heads, rows) + _missing(kept)


_WHICH = ("hot", "all")
LOAD = {
    "publisher": ("publisher, us", 0),
    "main": ("worker main, us", 0),
    "children": ("pool processes, us", 0),
    "redis_publish": ("Redis while published, us", 0),
    "redis_consume": ("Redis while run, us", 0),
    "tasks_per_second": ("tasks/s", 0),
    "wire_bytes": ("telemetry, bytes", 0),
    "message_bytes": ("message, bytes", 0),
}
MEMORY = {
    "main_pss": ("main, PSS", 1),
    "main_rss": ("main, RSS", 1),
    "child_pss": ("pool process, PSS", 1),
    "child_rss": ("pool process, RSS", 1),
}


def load() -> str:
    """Return what a worker and its Redis spend on one task."""
    return _of_runs("load", LOAD, delivered=True)


def down() -> str:
    """Return the same while nobody takes the telemetry."""
    return _of_runs("down", LOAD)


def memory() -> str:
    """Return the memory of a worker by its concurrency, MiB."""
    return _by_step("memory", "concurrency", MEMORY, scale=1 << 20)


def by_children() -> str:
    return _by_step("children", "concurrency", _BOTH)


def by_names() -> str:
    return _by_step("names", "names", _BOTH)


def by_spans() -> str:
    return _by_step("spans", "spans", _BOTH)


_BOTH = {name: LOAD[name] for name in ("main", "children", "tasks_per_second")}


def _of_runs(part: str, figures: Mapping[str, tuple[str, int]], delivered: bool = False) -> str:
    kept = results.kept(part)
    if kept is None:
        return NOT_YET
    runs = kept["measured"]
    heads = ["", *(words for words, _ in figures.values()), *(["spans"] if delivered else [])]
    rows = []
    for side in kept["sides"]:
        row = [SIDES[side].title, *(_number(median(runs, name, side)) for name in figures)]
        if delivered:
            due, came = median(runs, "spans_due", side), median(runs, "spans_delivered", side)
            row.append("" if due is None else f"{_number(came)} of {_number(due)}")
        rows.append(row)
    return table(heads, rows) + _missing(kept)


def _by_step(part: str, step: str, figures: Mapping[str, tuple[str, int]], scale: float = 1) -> str:
    kept = results.kept(part)
    if kept is None:
        return NOT_YET
    rows = []
    for value in sorted({one[step] for one in kept["measured"]}):
        runs = [one for one in kept["measured"] if one[step] == value]
        for side in kept["sides"]:
            found = [median(runs, name, side) for name in figures]
            cells = [
                _number(None if one is None else one / scale, digits=digits)
                for one, (_, digits) in zip(found, figures.values(), strict=True)
            ]
            rows.append([SIDES[side].title, value, *cells])
    heads = ["", step, *(words for words, _ in figures.values())]
    return table(heads, rows) + _missing(kept)


def sides() -> str:
    """Return what is compared."""
    kept = results.kept("instructions") or {"sides": {}}
    rows = [
        (side.title, f"{side.package} {kept['sides'].get(name, '')}".strip(), side.given)
        for name, side in SIDES.items()
    ]
    lines = [("side", "package", "what it is given"), ("---",) * 3, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machines() -> str:
    """Return where each part was measured."""
    rows = []
    for path in sorted(results.KEPT.glob("*.json")):
        kept = results.kept(path.stem)
        assert kept is not None
        words = [f"{name} {value}" for name, value in kept["machine"].items()]
        words += [f"{name} {value}" for name, value in kept["with"].items()]
        rows.append(f"- `{path.stem}`, {kept['when']}: {', '.join(words)}\n")
    return "".join(rows) or NOT_YET


def _extra_instructions(kept: dict[str, Any], place: str, side: str, which: str) -> float | None:
    found = kept["measured"][place]
    if side not in found:
        return None
    return float(found[side][which] - found["bare"][which])


def _timed(kept: dict[str, Any] | None, place: str) -> list[dict[str, Any]]:
    return [one for one in (kept or {"measured": []})["measured"] if one["place"] == place]


def _missing(kept: dict[str, Any]) -> str:
    return "".join(
        f"\n{SIDES[side].title} was not measured: {why}\n" for side, why in kept["missing"].items()
    )


def _number(value: float | None, before: str = "", digits: int = 0) -> str:
    return "" if value is None else f"{before}{value:,.{digits}f}"


TABLES: dict[str, Callable[[], str]] = {
    "performance-goals": goals,
    "performance-instructions": instructions,
    "performance-cpu": cpu_time,
    "performance-load": load,
    "performance-down": down,
    "performance-memory": memory,
    "performance-children": by_children,
    "performance-names": by_names,
    "performance-spans": by_spans,
    "performance-sides": sides,
    "performance-machines": machines,
}
