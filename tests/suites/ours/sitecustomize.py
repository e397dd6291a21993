"""Switches otel-celery on in every Python that a suite starts, and notes each fault of ours.

Python imports this by its name. `-p otel_celery.auto` alone would reach pytest and what it forks,
but none of the workers that some tests start as programs.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import otel_celery.auto  # noqa: F401
from otel_celery.guard import Guard

_report = Guard.report


def _noted(self: Guard, hook: str, fault: BaseException) -> None:
    said = "".join(traceback.format_exception(fault))
    with open(os.environ["SUITE_FAULTS"], "a", encoding="utf-8") as notes:  # noqa: PTH123
        notes.write(json.dumps([hook, sys.argv[:3], said]) + "\n")
    _report(self, hook, fault)


Guard.report = _noted  # type: ignore[method-assign]
