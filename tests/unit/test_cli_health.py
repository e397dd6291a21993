"""What does `otel-celery health` look at, and with which exit status does it end?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from otel_celery.cli import health as module
from otel_celery.cli import main
from otel_celery.health.report import DEGRADED, HEALTHY, UNHEALTHY, Finding
from otel_celery.heartbeat import HeartbeatFile

FINDINGS = {
    state: Finding("broker", state, f"it is {state}", {"system": "redis"})
    for state in (HEALTHY, DEGRADED, UNHEALTHY)
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def checks(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [one["check"] for one in json.loads(capsys.readouterr().out)["checks"]]


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        pytest.param([], ["worker"], id="worker"),
        pytest.param(["-n", "w1@%h"], ["worker"], id="a-worker"),
        pytest.param(["--ready"], ["broker"], id="broker"),
        pytest.param(["--ready", "-n", "w1@%h"], ["worker", "broker"], id="both"),
    ],
)
def test_the_broker_is_asked_only_on_demand(
    arguments: Sequence[str],
    asked: Sequence[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "ask_broker", lambda _: [FINDINGS[HEALTHY]])
    main(["health", "--json", *arguments])
    assert checks(capsys) == asked


@pytest.mark.parametrize(
    ("state", "strict", "status"),
    [
        pytest.param(HEALTHY, True, 0, id="healthy"),
        pytest.param(DEGRADED, False, 0, id="degraded"),
        pytest.param(DEGRADED, True, 1, id="degraded-strict"),
        pytest.param(UNHEALTHY, False, 1, id="unhealthy"),
    ],
)
def test_the_exit_status_says_whether_it_is_unhealthy(
    state: str,
    strict: bool,
    status: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "ask_broker", lambda _: [FINDINGS[state]])
    assert main(["health", "--ready", *(["--strict"] if strict else [])]) == status
    assert capsys.readouterr().out == f"{state}\n  broker redis: it is {state}\n"


def test_a_broker_in_memory_is_asked_for_all_that_was_named(capsys: pytest.CaptureFixture[str]):
    """Through the app that a URL makes, to the end."""
    asked = ["health", "--ready", "-b", "memory://", "-Q", "mail", "--max-depth", "eu=5"]
    assert main([*asked, "--json", "--timeout", "60"]) == 0
    found = json.loads(capsys.readouterr().out)
    del found["checks"][0]["reason"], found["checks"][0]["seconds"]
    unknown = {"check": "queue", "state": "degraded", "reason": "the broker does not know it"}
    assert found == {
        "state": "degraded",
        "checks": [
            {"check": "broker", "state": "healthy", "system": "memory"},
            {**unknown, "queue": "mail"},
            {**unknown, "queue": "eu"},
        ],
    }


def test_an_app_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]):
    assert main(["health", "--ready", "-A", "no_such_project"]) == 1
    assert capsys.readouterr().err.startswith("otel-celery: -A no_such_project: ModuleNotFound")


def test_a_probe_of_a_worker_loads_neither_celery_nor_opentelemetry():
    """One starts every few seconds, beside the worker and on its share of the machine."""
    HeartbeatFile("w1@host").show(time.time(), connected=True)
    script = (
        "import sys; from otel_celery.cli import main; status = main(['health', '-n', 'w1@host'])\n"
        "heavy = {'celery', 'kombu', 'opentelemetry', 'requests', 'psutil', 'asyncio', 'logging'}\n"
        "print(status, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0 []"
