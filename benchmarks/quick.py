"""Does a task cost more than it did when the limits were written?

Instructions are counted, not time: a busy machine counts the same. What they are compared with
depends on how Python was built, and a little on the processor, whose best way to copy memory the
C library picks. So a limit is for a Python that needs for Celery alone what the one needed that
wrote it, and grows or shrinks with that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import callgrind
from benchmarks.micro import Cost, instructions_of
from benchmarks.sink import sinking

LIMITS = Path(__file__).with_name("limits.json")
TASKS, ROUNDS = 50, 3
MARGIN = 1.12
"""Of a new limit over what was measured: runs differ by up to 4 %, builds of Python by 3 % after
scaling, and the rest is for another processor."""
WORDS = {"hot": "in its way", "all": "with the background"}


def measured() -> dict[str, dict[str, Cost]]:
    """Return instructions of each task by place: of Celery alone, and what we add."""
    with sinking() as sink:
        found = instructions_of(("bare", "ours"), sink, TASKS, ROUNDS)
    return {
        place: {"bare": costs["bare"], "extra": costs["ours"].over(costs["bare"])}
        for place, costs in found.items()
    }


def excesses(found: Mapping[str, Mapping[str, Cost]], limits: Mapping[str, Any]) -> list[str]:
    """Return what is above its limit, in words."""
    return [
        f"{place}, {words}: {now:,.0f} instructions more than Celery alone, {most:,.0f} allowed"
        for place, costs in found.items()
        for name, words in WORDS.items()
        if (now := getattr(costs["extra"], name)) > (most := allowed(place, name, costs, limits))
    ]


def allowed(place: str, name: str, costs: Mapping[str, Cost], limits: Mapping[str, Any]) -> float:
    """Return the limit for a Python that needs for Celery alone what this one does."""
    limit = limits["places"][place]
    return float(limit[name] * costs["bare"].hot / limit["bare"])


def limits_from(found: Mapping[str, Mapping[str, Cost]]) -> dict[str, Any]:
    """Return limits a little above what was measured."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "places": {
            place: {
                "bare": round(costs["bare"].hot),
                "hot": round(costs["extra"].hot * MARGIN),
                "all": round(costs["extra"].all * MARGIN),
            }
            for place, costs in found.items()
        },
    }


def table(found: Mapping[str, Mapping[str, Cost]], limits: Mapping[str, Any]) -> str:
    """Return what was found, for a terminal."""
    lines = [f"{'instructions of one task':26}{'bare':>12}{'we add':>12}{'limit':>12}"]
    for place, costs in found.items():
        for name, words in WORDS.items():
            lines.append(
                f"{place + ', ' + words:26}{costs['bare'].hot:12,.0f}"
                f"{getattr(costs['extra'], name):12,.0f}"
                f"{allowed(place, name, costs, limits):12,.0f}"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-quick", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write limits from what is found")
    chosen = parser.parse_args()
    if not callgrind.available():
        print("bench-quick: valgrind is not on PATH, nothing was counted", file=sys.stderr)
        return int(os.environ.get("CI") == "true")
    found = measured()
    if chosen.keep:
        LIMITS.write_text(json.dumps(limits_from(found), indent=1) + "\n")
    limits = json.loads(LIMITS.read_text())
    print(table(found, limits))
    too_much = excesses(found, limits)
    for line in too_much:
        print(f"above its limit: {line}", file=sys.stderr)
    return int(bool(too_much))


if __name__ == "__main__":
    sys.exit(main())
