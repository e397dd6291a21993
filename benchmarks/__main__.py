"""Which parts are measured, by how many rounds of what size?

`make bench` does all of it; `make bench ARGS="--quick cpu"` one part at a size for development.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks import callgrind, fleet, macro, micro, results
from benchmarks.macro import Load
from benchmarks.peers import SIDES, Missing, python_of
from benchmarks.quick import ROUNDS, TASKS
from benchmarks.sink import sinking

OTEL = ("bare", "ours", "contrib")
GROWTH = ("children", "names", "spans")
FLEET = "fleet"
PARTS = ("instructions", "cpu", "load", "down", "memory", *GROWTH, FLEET)


def loads(part: str, quick: bool) -> Sequence[Load]:
    """Return the loads of one part."""
    usual = Load(tasks=500, settle=6.0) if quick else Load()
    steps: dict[str, list[Load]] = {
        "load": [usual],
        "down": [usual._replace(down=True)],
        "memory": [usual._replace(concurrency=n) for n in ((1, 2) if quick else (1, 8, 32))],
        "children": [usual._replace(concurrency=n) for n in ((1, 2) if quick else (1, 2, 4, 8))],
        "names": [usual._replace(names=n) for n in ((1, 20) if quick else (1, 10, 100, 1000))],
        "spans": [usual._replace(spans=n) for n in ((0, 5) if quick else (0, 1, 10))],
    }
    return steps[part]


def measure_instructions(sides: Sequence[str], quick: bool) -> dict[str, Any]:
    """Return the instructions of one task by place and side."""
    with sinking() as sink:
        found = micro.instructions_of(sides, sink, *((TASKS, ROUNDS) if quick else (200, 5)))
    return {
        place: {side: cost._asdict() for side, cost in costs.items()}
        for place, costs in found.items()
    }


def measure_cpu(sides: Sequence[str], rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Return the CPU time of one task, one entry for each round, side and place."""
    found = []
    with sinking() as sink:
        for number in range(rounds):
            for place in micro.PLACES:
                for side in shuffled(sides, number):
                    say(f"cpu, round {number + 1}, {place}, {side}")
                    cost = micro.cpu_time(side, place, sink, 50 if quick else 1000, 3)
                    one = {"round": number, "side": side, "place": place, **cost._asdict()}
                    found.append(one)
    return found


def measure_macro(
    part: str, sides: Sequence[str], rounds: int, quick: bool
) -> list[dict[str, Any]]:
    """Return one entry for each run of a worker: sides take turns within each round."""
    found = []
    for number in range(rounds):
        for load in loads(part, quick):
            for side in shuffled(sides, number):
                say(f"{part}, round {number + 1}, {side}, {load}")
                one = macro.run(side, load)
                found.append({"round": number, "side": side, **load._asdict(), **one})
    return found


def measure_fleet(quick: bool) -> list[dict[str, Any]]:
    """Return one entry for each run of the Collector."""
    found = []
    for step in fleet.steps(quick):
        say(f"fleet, {step}")
        found.append(fleet.measure(step, quick))
    return found


def shuffled(sides: Sequence[str], number: int) -> list[str]:
    """Return the sides in the order of a round, the same in each run of this program."""
    return random.Random(number).sample(list(sides), len(sides))


def reasons(sides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each side that cannot be measured here, with the reason."""
    with sinking() as sink:
        for side in sides:
            try:
                python_of(side)
                for place in micro.PLACES:
                    micro.cpu_time(side, place, sink, 1, 1)
            except (Missing, RuntimeError) as why:
                yield side, str(why).strip().splitlines()[-1]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="small sizes, for development")
    parser.add_argument("--sides", type=lambda text: text.split(","), default=list(SIDES))
    parser.add_argument("--rounds", type=int, default=0, help="5, or 1 with --quick")
    chosen = parser.parse_args()
    if unknown := {*chosen.parts} - {*PARTS} | {*chosen.sides} - {*SIDES}:
        parser.error(f"not known: {', '.join(sorted(unknown))}")
    if "instructions" in chosen.parts and not callgrind.available():
        parser.error("valgrind is not on PATH, and `instructions` needs it")
    asked = [side for side in SIDES if side in {"bare", *chosen.sides}]
    missing = {} if chosen.parts == [FLEET] else dict(reasons(asked))
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    for part in chosen.parts:
        sides = [side for side in asked if side not in missing]
        measured: Any
        if part == "instructions":
            measured = measure_instructions(sides, chosen.quick)
        elif part == FLEET:
            path = results.keep(part, ["ours"], {}, measure_fleet(chosen.quick))
            say(f"kept in {path}; `make docs` shows it")
            continue
        elif part == "cpu":
            measured = measure_cpu(sides, rounds, chosen.quick)
        else:
            sides = [side for side in sides if part not in GROWTH or side in OTEL]
            measured = measure_macro(part, sides, rounds, chosen.quick)
        path = results.keep(part, sides, missing, measured)
        say(f"kept in {path}; `make docs` shows it")


if __name__ == "__main__":
    main()
