"""Switching on by an import, alone and as `opentelemetry-instrument` does it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

IMPORT = "import otel_celery.auto as auto"
ENTRY_POINT = """
from importlib.metadata import EntryPoint
kind = EntryPoint("otel_celery", "otel_celery.auto:OtelCeleryInstrumentor", "any").load()
kind().instrument(skip_dep_check=True)
"""
PROGRAM = """
import logging, threading
logging.basicConfig(level=logging.WARNING)
{how}
from otel_celery import bootstrap
on = bootstrap._current
print(on is not None, [thread.name for thread in threading.enumerate()])
import otel_celery
{again}
print(bootstrap._current is on)
from otel_celery.auto import OtelCeleryInstrumentor
{off}
print(bootstrap._current)
"""


def run(**program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that switches on, again and off."""
    environ = {key: text for key, text in program.items() if key.isupper()}
    parts = {"how": IMPORT, "again": "", "off": ""} | program
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(**parts)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("how", "off"),
    [
        pytest.param(IMPORT, "otel_celery.uninstrument()", id="import"),
        pytest.param(ENTRY_POINT, "OtelCeleryInstrumentor().uninstrument()", id="entry-point"),
    ],
)
@pytest.mark.parametrize(
    "again", ["otel_celery.instrument()", "import otel_celery.auto"], ids=["call", "import"]
)
def test_each_way_switches_on_once_starts_nothing_and_says_nothing(
    how: str, off: str, again: str
) -> None:
    """Also where the entry point loads the module that switches on by itself."""
    done = run(how=how, off=off, again=again)
    assert (done.stdout.splitlines(), done.stderr) == (
        ["True ['MainThread']", "True", "None"],
        "",
    )


def test_a_disabled_sdk_leaves_celery_alone() -> None:
    """OTEL_SDK_DISABLED is for all telemetry."""
    done = run(OTEL_SDK_DISABLED="true")
    assert done.stdout.splitlines()[0] == "False ['MainThread']"


def test_an_unusable_setting_fails_at_the_import() -> None:
    """With its variable and value, before any task runs."""
    done = run(OTEL_CELERY_QUEUE_INTERVAL="soon")
    assert done.returncode == 1
    assert "ConfigError: OTEL_CELERY_QUEUE_INTERVAL='soon': expected" in done.stderr
