"""What was measured, where, and with which versions?

One file for each part, each of them from one run. What a run did not measure, another may have: the
page says of which machine each part is.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers import Missing, version_of

KEPT = Path(__file__).with_name("results")
WITH = ("celery", "kombu", "redis", "opentelemetry-sdk")


def keep(part: str, sides: Iterable[str], missing: dict[str, str], measured: Any) -> Path:
    """Write what one run measured in one part."""
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{part}.json"
    told = {
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": machine(),
        "with": {name: version(name) for name in WITH},
        "sides": {side: _version(side) for side in sides},
        "missing": missing,
        "measured": measured,
    }
    path.write_text(json.dumps(told, indent=1) + "\n")
    return path


def kept(part: str) -> dict[str, Any] | None:
    """Return what was measured in one part, None if that has not been done."""
    path = KEPT / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else None


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "redis": _first_word_after("v=", ["redis-server", "--version"]),
        "valgrind": _first_word_after("valgrind-", ["valgrind", "--version"]),
    }


def paired(runs: Sequence[dict[str, Any]], figure: str, side: str) -> float | None:
    """Return the median over the rounds of what a side adds to Celery alone in the same round."""
    by_round: dict[int, dict[str, float]] = {}
    for one in runs:
        if one[figure] is not None:
            by_round.setdefault(one["round"], {})[one["side"]] = one[figure]
    both = [each[side] - each["bare"] for each in by_round.values() if {side, "bare"} <= set(each)]
    return statistics.median(both) if both else None


def median(runs: Sequence[dict[str, Any]], figure: str, side: str) -> float | None:
    """Return the median of a figure over the rounds."""
    found = [one[figure] for one in runs if one["side"] == side and one[figure] is not None]
    return statistics.median(found) if found else None


def _version(side: str) -> str:
    try:
        return version_of(side)
    except Missing as why:
        return str(why)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _first_word_after(mark: str, command: list[str]) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as why:
        return f"not there: {why}"
    return said.partition(mark)[2].split()[0]
