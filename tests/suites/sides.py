"""What becomes of each test of a part, without us and with us?"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.matrix import ROOT
from tests.receiver import Receiver, receiving
from tests.suites.parts import Suite, services
from tests.worker.harness import total

Side = Literal["alone", "ours"]
HERE = Path(__file__).parent
LOGS = ROOT / "build" / "suites" / "logs"
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


class Bench(NamedTuple):
    """Where parts are run."""

    python: Path
    sources: Path
    suite: Suite
    shared: str  # URL of the broker that all parts use, if they do
    patience: float  # seconds for one run


class Ran(NamedTuple):
    """What one run of pytest told."""

    outcomes: Mapping[str, str]  # by test
    finished: bool
    seconds: float
    spans: int = 0
    faults: tuple[Any, ...] = ()  # of ours: hook, program, traceback
    counted: int = 0  # the same as otel_celery.faults has them

    @property
    def counts(self) -> dict[str, int]:
        return dict(sorted(Counter(self.outcomes.values()).items()))


def run(bench: Bench, side: Side, *what: str) -> Ran:
    """Run tests on one side.

    Args:
        bench: where.
        side: without us or with us.
        what: files, folders or names of tests.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="suite-") as name, receiving() as receiver:
        folder = Path(name)
        with services(bench.suite, folder, bench.shared) as named:
            environ = _environment(bench, side, folder, receiver) | named
            log = LOGS / f"{bench.suite}-{re.sub(r'[^a-z_]+', '-', what[0])}-{side}.log"
            finished, seconds = _pytest(bench, side, environ, what, log)
        outcomes = {ADDRESS.sub("0x", test): told for test, told in _lines(folder / "notes")}
        return Ran(
            outcomes,
            finished and bool(outcomes),
            seconds,
            len(receiver.spans),
            tuple(_lines(folder / "faults")),
            int(total(receiver, "otel_celery.faults")),
        )


def _environment(bench: Bench, side: Side, folder: Path, receiver: Receiver) -> dict[str, str]:
    """Return the variables of pytest and of all that it starts."""
    path = [str(HERE / "both"), str(bench.sources)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ = kept | {
        "PATH": os.pathsep.join([str(bench.python.parent), os.environ["PATH"]]),
        "SUITE_NOTES": str(folder / "notes"),
    }
    if side == "ours":
        path.insert(0, str(HERE / "ours"))
        environ |= {
            "SUITE_FAULTS": str(folder / "faults"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_CELERY_QUEUE_INTERVAL": "1",
        }
    return environ | {"PYTHONPATH": os.pathsep.join(path)}


def _pytest(
    bench: Bench, side: Side, environ: Mapping[str, str], what: tuple[str, ...], log: Path
) -> tuple[bool, float]:
    """Run pytest, and say whether it came to its end and after how many seconds."""
    switch = ["-p", "otel_celery.auto"] if side == "ours" else ["-p", "no:otel_celery"]
    if bench.suite != "unit":
        switch += ["-p", "celery.contrib.pytest"]
    elif side == "ours":
        switch += ["-p", "threads"]
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb", "short"]
    command = [str(bench.python), "-m", "pytest", *switch, "-p", "noted", *quiet, *what]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=bench.sources,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            started = os.times().elapsed
            process.wait(bench.patience)
            return process.returncode in (0, 1), os.times().elapsed - started
        except subprocess.TimeoutExpired:
            return False, bench.patience
        finally:
            # Workers that a test left behind, too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
