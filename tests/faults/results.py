"""What did the fault tests measure, and how does the page in the docs show it?

A test writes what it measured to `build/faults`. `python -m tests.faults.results` takes that over
into the results beside this file; the page is made from those, so that it shows runs and nothing
else.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.faults.catalogue import FAULTS, GROUPS, Fault
from tests.faults.sides import ALONE, CONTRIB, OURS, Side

ROOT = Path(__file__).resolve().parents[2]
FRESH = ROOT / "build" / "faults"
KEPT = Path(__file__).with_name("results")
HEADS: Mapping[Side, str] = {ALONE: "Celery alone", OURS: "otel-celery", CONTRIB: "contrib"}
WITH = ("celery", "opentelemetry-sdk", "opentelemetry-instrumentation-celery")


class Measured:
    """The figures of one fault, as a test finds them."""

    def __init__(self, fault: Fault) -> None:
        self._path = FRESH / f"{fault.id}.json"

    def __call__(self, figure: str, side: Side, value: object) -> None:
        """Note a figure, such as ("process spans", OURS, "200 of 200")."""
        FRESH.mkdir(parents=True, exist_ok=True)
        kept = json.loads(self._path.read_text()) if self._path.exists() else {"figures": {}}
        kept["figures"].setdefault(figure, {})[side] = str(value)
        kept["with"] = [f"Python {platform.python_version()}"]
        kept["with"] += [f"{name} {version(name)}" for name in WITH]
        self._path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def kept(fault: Fault) -> dict[str, Any] | None:
    """Return what was measured of a fault when the page was made last, if it was tried."""
    path = KEPT / f"{fault.id}.json"
    return json.loads(path.read_text()) if path.exists() else None


def take_over() -> None:
    """Keep what the newest run measured."""
    KEPT.mkdir(exist_ok=True)
    for path in sorted(FRESH.glob("*.json")):
        shutil.copy(path, KEPT / path.name)


def page() -> str:
    """Return the part of the page that the results are shown in."""
    return "\n".join(line for name in GROUPS for line in _group(name)) + "\n"


def versions() -> str:
    """Return what the figures were measured with, in words."""
    found = {one for fault in FAULTS for one in (kept(fault) or {"with": []})["with"]}
    return ", ".join(sorted(found)) + "\n"


def _group(name: str) -> Iterator[str]:
    yield f"## {name}\n"
    for fault in GROUPS[name]:
        yield from _fault(fault)


def _fault(fault: Fault) -> Iterator[str]:
    yield f"### {fault.name}\n"
    yield f"Injected: {fault.injected}\n"
    yield f"Promised: {fault.promised}\n"
    results = kept(fault)
    if results is None:
        yield f"Not tried: {fault.untried}\n"
        return
    figures: dict[str, dict[Side, str]] = results["figures"]
    sides = [side for side in HEADS if any(side in values for values in figures.values())]
    yield f"| | {' | '.join(HEADS[side] for side in sides)} |"
    yield f"|{' --- |' * (len(sides) + 1)}"
    for figure, values in figures.items():
        yield f"| {figure} | {' | '.join(values.get(side, '') for side in sides)} |"
    yield ""


if __name__ == "__main__":
    take_over()
