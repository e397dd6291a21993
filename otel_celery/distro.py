"""What does `opentelemetry-instrument` load of ours, and what must wait in a worker?

It configures the SDK before Celery is even imported, so that the threads and locks of exporters
and readers go through the fork of the pool. In a worker nothing of that is needed: worker and pool
processes get what they need when they start.

Where opentelemetry-distro is installed as well, whose entry points are loaded is a matter of order
on the disk: set OTEL_PYTHON_DISTRO=otel_celery and OTEL_PYTHON_CONFIGURATOR=otel_celery.

Nothing of the SDK is imported here: this is loaded before gevent or eventlet have patched the
standard library, and a lock that a module took from it before then blocks all greenlets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Any

import celery
from opentelemetry.environment_variables import OTEL_METRICS_EXPORTER, OTEL_TRACES_EXPORTER
from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]
from opentelemetry.instrumentation.environment_variables import (
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS,
)

_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_SPAWNED = "--billiard-fork"
_APP = ("-A", "--app")  # what follows is the name of a module


class Distro(BaseDistro):  # type: ignore[misc]
    """Has telemetry sent as OTLP over HTTP, unless variables say something else."""

    def _configure(self, **_: Any) -> None:
        if runs_worker(sys.orig_argv):
            # Celery does so first of all things; here, instrumentors come before Celery.
            celery.maybe_patch_concurrency(sys.orig_argv)
        os.environ.setdefault(OTEL_TRACES_EXPORTER, "otlp")
        os.environ.setdefault(OTEL_METRICS_EXPORTER, "otlp")
        os.environ.setdefault(_PROTOCOL, "http/protobuf")

    def load_instrumentor(self, entry_point: Any, **options: Any) -> None:
        """Load all but the one whose place we take."""
        if entry_point.name != "celery" or disabled():
            super().load_instrumentor(entry_point, **options)


def disabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Is our instrumentor to be left out, and a worker like any other program?"""
    named = environ.get(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, "").split(",")
    return not {"otel_celery", "*"}.isdisjoint(name.strip() for name in named)


def runs_worker(command: Sequence[str]) -> bool:
    """Is this the command line of a worker, or of a pool process that was spawned for one?

    Args:
        command: of the interpreter, with itself and its options, as `sys.orig_argv`.
    """
    if _SPAWNED in command:
        return True
    programs = [PurePath(word).stem for word in command]
    if "celery" not in programs:
        return False
    rest = command[programs.index("celery") :]
    return any(word == "worker" and before not in _APP for before, word in pairwise(rest))
