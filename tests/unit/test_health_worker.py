"""Does the loop of a worker on this host turn?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from celery.utils.nodenames import default_nodename, host_format

from otel_celery import heartbeat
from otel_celery.health.report import DEGRADED, HEALTHY, UNHEALTHY, Finding
from otel_celery.health.worker import check_worker, expanded
from otel_celery.heartbeat import HeartbeatFile

NAME = "celery@host.example"
AT = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.mark.parametrize(
    ("connected", "now", "state", "reason", "age"),
    [
        pytest.param(True, AT + 7, HEALTHY, "heartbeat 7 s ago", 7.0, id="healthy"),
        pytest.param(False, AT + 7, DEGRADED, "not connected to its broker", 7.0, id="no-broker"),
        pytest.param(True, AT + 61, UNHEALTHY, "no heartbeat for 61 s", 61.0, id="hangs"),
        pytest.param(False, AT + 61, UNHEALTHY, "no heartbeat for 61 s", 61.0, id="both"),
        pytest.param(True, AT - 61, UNHEALTHY, "no heartbeat for 61 s", 61.0, id="clock-put-back"),
    ],
)
def test_a_worker_is_judged_by_its_last_heartbeat(
    connected: bool, now: float, state: str, reason: str, age: float
):
    HeartbeatFile(NAME).show(AT, connected=connected)
    figures = {
        "worker": NAME,
        "pid": os.getpid(),
        "heartbeat_age": age,
        "connected": connected,
    }
    assert check_worker(NAME, now=now) == Finding("worker", state, reason, figures)


def test_how_old_it_may_be_is_the_caller_s_choice():
    HeartbeatFile(NAME).show(AT, connected=True)
    assert check_worker(NAME, max_age=5, now=AT + 7).state == UNHEALTHY


def test_a_worker_that_is_not_there_is_unhealthy_and_others_are_named():
    path = heartbeat.path_of(NAME)
    assert check_worker(NAME) == Finding("worker", UNHEALTHY, f"no {path}", {"worker": NAME})
    HeartbeatFile("w1@host").show(AT, connected=True)
    assert check_worker(NAME).reason == f"no {path}; there are w1@host"


def test_a_file_that_another_could_have_written_says_nothing():
    HeartbeatFile(NAME).show(AT, connected=True)
    heartbeat.folder().chmod(0o777)
    found = check_worker(NAME, now=AT)
    assert (found.state, found.figures) == (UNHEALTHY, {"worker": NAME})
    assert "not this user's alone" in found.reason


@pytest.mark.parametrize("host", ["host", "host.shop.example"])
@pytest.mark.parametrize(
    "nodename", ["w1", "w1@", "w1@%h", "%n@%d", "w1@other.example", "celery@%h", "@there"]
)
def test_a_nodename_means_what_it_means_to_celery(
    nodename: str, host: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("celery.utils.nodenames.gethostname", lambda: host)
    assert expanded(nodename, host) == host_format(default_nodename(nodename))
