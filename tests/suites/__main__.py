"""Do Celery's own tests pass with otel-celery switched on? Each part without us and then with us.

What was found is kept part by part in `build/suites`, so that a run may do some of them. The exit
code says whether a test failed only with us.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.suites import results
from tests.suites.compare import ABSENT, ONLY_WITH_US, TRIES, differences, judged
from tests.suites.environment import furnished
from tests.suites.parts import SUITES, Suite, parts, shared_broker
from tests.suites.sdist import sources
from tests.suites.sides import Bench, Ran, run


def tried(bench: Bench, part: str) -> bool:
    """Run a part on both sides, keep what was found, and say whether it is well."""
    alone, ours = run(bench, "alone", part), run(bench, "ours", part)

    def again(test: str) -> Iterator[tuple[str, str]]:
        for _ in range(TRIES):
            sides = [run(bench, side, test) for side in ("alone", "ours")]
            yield sides[0].outcomes.get(test, ABSENT), sides[1].outcomes.get(test, ABSENT)

    found = differences(alone.outcomes, ours.outcomes)
    if not (alone.finished and ours.finished):  # the rest was not reached by one of them
        found = {test: pair for test, pair in found.items() if ABSENT not in pair}
    differing = judged(found, again)
    results.keep(bench.suite, part, {
        "alone": {"finished": alone.finished, "tests": alone.counts},
        "ours": {"finished": ours.finished, "tests": ours.counts},
        "spans": ours.spans,
        "faults": max(len(ours.faults), ours.counted),
        "fail alone": [test for test, told in alone.outcomes.items() if told == "failed"],
        "differ": differing,
    })  # fmt: skip
    print(f"{part}: alone {told(alone)}; with us {told(ours)}, {ours.spans} spans", flush=True)
    for test, what in differing.items():
        print(f"  {what['verdict']}: {test} {what['alone']} {what['ours']}", flush=True)
    for hook, program, said in ours.faults:
        print(f"  fault of ours in {hook}: {program}\n{said}", flush=True)
    worse = [one for one in differing.values() if one["verdict"] == ONLY_WITH_US]
    stuck = not ours.finished and (alone.finished or not ours.outcomes)
    return not (worse or stuck or ours.faults or ours.counted)


def told(ran: Ran) -> str:
    counts = ", ".join(f"{number} {what}" for what, number in ran.counts.items()) or "nothing"
    return f"{counts} in {ran.seconds:.0f} s{'' if ran.finished else ', not finished'}"


def stem(part: str) -> str:
    """Return a part's short name, such as `app` of t/unit/app."""
    return Path(part).stem


def main() -> int:
    parser = argparse.ArgumentParser(description="Run Celery's own tests with otel-celery on.")
    parser.add_argument("--suite", choices=SUITES, action="append", help="not all of them")
    parser.add_argument("--part", action="append", help="these alone, such as app or test_beat")
    parser.add_argument("--patience", type=float, default=900, help="seconds for one run")
    asked = parser.parse_args()
    there = sources()
    python = furnished(there)
    wrong: list[tuple[Suite, str]] = []
    for suite in asked.suite or SUITES:
        names = parts(suite, there)
        results.keep_names(suite, names)
        chosen = [name for name in names if not asked.part or set(asked.part) & {name, stem(name)}]
        with (
            tempfile.TemporaryDirectory(prefix="suites-") as folder,
            shared_broker(suite, Path(folder)) as shared,
        ):
            bench = Bench(python, there, suite, shared, asked.patience)
            wrong += [(suite, part) for part in chosen if not tried(bench, part)]
    for suite, part in wrong:
        print(f"not the same with us: {part} ({suite})")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
