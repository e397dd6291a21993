"""What was found in the newest runs, and how do the docs show it?

A run writes to `build/suites`, part by part. `python -m tests.suites.results` takes that over into
the results beside this file, one for each suite; the page is made from those.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.matrix import ROOT
from tests.suites.compare import FLAKY, ONCE, ONLY_WITH_US, OTHERWISE
from tests.suites.parts import NAMES, SUITES, Suite
from tests.suites.sdist import version

FRESH = ROOT / "build" / "suites"
KEPT = Path(__file__).with_name("results")
WITH = ("celery", "kombu", "opentelemetry-sdk")
HEADS = (
    "part",
    "tests",
    "pass without us",
    "pass with us",
    FLAKY,
    ONLY_WITH_US,
    "spans received",
    "faults of ours",
)
NOTES: Mapping[str, str] = {
    ONLY_WITH_US: "Fails only with us",
    FLAKY: "Flaky without us",
    ONCE: "Failed once with us, passed when run again",
    OTHERWISE: "Neither passed on both sides nor failed",
}


def keep(suite: Suite, part: str, found: Mapping[str, Any]) -> None:
    """Keep what was found in one part of a suite."""
    path = FRESH / suite / f"{part.replace('/', '-')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"part": part, **found}, indent=1) + "\n")


def keep_names(suite: Suite, parts: Sequence[str]) -> None:
    """Keep which parts a suite has and what runs it, whether or not they are run."""
    told = {
        "with": [
            f"Python {platform.python_version()}",
            *(f"{name} {version(name)}" for name in WITH),
        ],
        "names": list(parts),
    }
    FRESH.mkdir(parents=True, exist_ok=True)
    (FRESH / f"{suite}.json").write_text(json.dumps(told, indent=1) + "\n")


def kept(suite: Suite) -> dict[str, Any]:
    """Return what is known of a suite; nothing before its first run."""
    path = KEPT / f"{suite}.json"
    known: dict[str, Any] = {"with": [], "names": [], "parts": {}}
    return json.loads(path.read_text()) if path.exists() else known


def take_over() -> None:
    """Keep the newest run of each part; one of other versions than before replaces them all."""
    for suite in SUITES:
        if not (FRESH / f"{suite}.json").exists():
            continue
        KEPT.mkdir(exist_ok=True)
        fresh, earlier = json.loads((FRESH / f"{suite}.json").read_text()), kept(suite)
        parts = earlier["parts"] if earlier["with"] == fresh["with"] else {}
        for path in sorted((FRESH / suite).glob("*.json")):
            found = json.loads(path.read_text())
            parts[found.pop("part")] = found
        fresh["parts"] = {name: parts[name] for name in fresh["names"] if name in parts}
        (KEPT / f"{suite}.json").write_text(json.dumps(fresh, indent=1) + "\n")


def page() -> str:
    """Return the part of the page that the results are shown in."""
    return "\n".join(line for suite in SUITES for line in _suite(suite)) + "\n"


def versions() -> str:
    """Return what the suites were run with, in words."""
    return ", ".join(dict.fromkeys(one for suite in SUITES for one in kept(suite)["with"])) + "\n"


def _suite(suite: Suite) -> Iterator[str]:
    known = kept(suite)
    parts: Mapping[str, Any] = known["parts"]
    yield f"## {NAMES[suite]}\n"
    if parts:
        yield from _table(parts)
    missing = [name for name in known["names"] if name not in parts]
    if missing:
        yield f"Not run: {', '.join(missing)}\n"
    for verdict, said in NOTES.items():
        yield from _named(said, [
            f"`{test}`: {_told(what)}"
            for found in parts.values()
            for test, what in found["differ"].items()
            if what["verdict"] == verdict
        ])  # fmt: skip
    yield from _named("Fails on both sides", [
        f"`{test}`" for found in parts.values() for test in found["fail alone"]
        if test not in found["differ"]
    ])  # fmt: skip


def _table(parts: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {' | '.join(HEADS)} |"
    yield f"|{' --- |' * len(HEADS)}"
    cells = {name: _cells(found) for name, found in parts.items()}
    for name, row in cells.items():
        cut = "" if _finished(parts[name]) else ", cut short"
        yield f"| {name}{cut} | {' | '.join(map(str, row))} |"
    sums = [sum(column) for column in zip(*cells.values(), strict=True)]
    yield f"| together | {' | '.join(map(str, sums))} |\n"


def _cells(found: Mapping[str, Any]) -> list[int]:
    """Return one row, without its name."""
    alone, ours = (found[side]["tests"] for side in ("alone", "ours"))
    verdicts = [what["verdict"] for what in found["differ"].values()]
    return [
        max(sum(alone.values()), sum(ours.values())),
        alone.get("passed", 0),
        ours.get("passed", 0),
        verdicts.count(FLAKY),
        verdicts.count(ONLY_WITH_US),
        found["spans"],
        found["faults"],
    ]


def _finished(found: Mapping[str, Any]) -> bool:
    return found["alone"]["finished"] and found["ours"]["finished"]


def _told(what: Mapping[str, Any]) -> str:
    return f"without us {', '.join(what['alone'])}; with us {', '.join(what['ours'])}"


def _named(said: str, tests: Sequence[str]) -> Iterator[str]:
    if tests:
        yield f"{said}:\n"
        yield "".join(f"- {test}\n" for test in tests)


if __name__ == "__main__":
    take_over()
