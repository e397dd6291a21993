"""What became of each test? A plugin for pytest, loaded with and without otel-celery.

One line of JSON for each test that ended, written at once: a run that is cut short has told what
it got to. Loaded by the suites' own Python, so it knows nothing of this project.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

WORSE = ("passed", "skipped", "xfailed", "xpassed", "failed")

_worst: dict[str, str] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the worst of set-up, call, subtests and tear-down; a rerun begins anew."""
    if report.outcome == "rerun":
        _worst.pop(report.nodeid, None)
        return
    told = report.outcome
    if hasattr(report, "wasxfail"):
        told = {"skipped": "xfailed", "passed": "xpassed"}.get(told, told)
    _worst[report.nodeid] = max(_worst.get(report.nodeid, "passed"), told, key=WORSE.index)


def pytest_runtest_logfinish(nodeid: str) -> None:
    with open(os.environ["SUITE_NOTES"], "a", encoding="utf-8") as notes:  # noqa: PTH123
        notes.write(json.dumps([nodeid, _worst.pop(nodeid, "passed")]) + "\n")


def pytest_collectreport(report: Any) -> None:
    """Note what cannot even be imported, as a test of its own."""
    if report.failed:
        _worst[report.nodeid] = "failed"
        pytest_runtest_logfinish(report.nodeid)


def pytest_sessionfinish() -> None:
    """Without us means without us: a configuration that was left behind may switch us on."""
    assert ("otel_celery.bootstrap" in sys.modules) == ("SUITE_FAULTS" in os.environ)
