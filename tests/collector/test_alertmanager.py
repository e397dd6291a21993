"""Alerts reach the right people once, and nobody by accident."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from collector.catalogue.__main__ import HERE
from collector.catalogue.prometheus import ALERTS
from tests.waiting import eventually

CONFIG = HERE / "alertmanager/alertmanager.yml"
EVERY = {alert.name: alert for alerts in ALERTS.values() for alert in alerts}


def amtool(program: Callable[[str], Path], *words: object) -> str:
    done = subprocess.run(
        [str(program("amtool")), *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_the_configuration_is_valid(program: Callable[[str], Path]):
    assert "SUCCESS" in amtool(program, "check-config", CONFIG)


@pytest.mark.parametrize(
    ("severity", "team", "receiver"),
    [
        ("critical", "application", "pager-application"),
        ("critical", "operations", "pager-operations"),
        ("critical", "telemetry", "pager-operations"),
        ("warning", "application", "chat-application"),
        ("warning", "operations", "chat-operations"),
        ("warning", "telemetry", "mail-telemetry"),
        ("info", "application", "nobody"),
        ("info", "operations", "nobody"),
        ("info", "telemetry", "nobody"),
    ],
)
def test_severity_and_team_choose_who_is_told(
    program: Callable[[str], Path], severity: str, team: str, receiver: str
):
    where = ("config", "routes", "test", f"--config.file={CONFIG}")
    assert amtool(program, *where, f"severity={severity}", f"team={team}") == receiver


def test_nothing_can_be_sent_as_it_stands():
    """Every address and key is a file that is not shipped, or a host that cannot exist."""
    config = yaml.safe_load(CONFIG.read_text())
    assert config["global"]["smtp_smarthost"].split(":")[0].endswith(".invalid")
    for receiver in config["receivers"]:
        for kind, channels in receiver.items():
            if kind == "name":
                continue
            for channel in channels:
                secrets = [text for key, text in channel.items() if key.endswith("_file")]
                assert secrets, receiver["name"]
                assert all(text.startswith("/etc/alertmanager/secrets/") for text in secrets)
                assert not {"api_url", "routing_key", "service_key", "auth_password"} & {*channel}
                assert channel.get("to", ".invalid").endswith(".invalid")


def test_a_page_says_all_that_happened(program: Callable[[str], Path], tmp_path: Path):
    """A group of two alerts with different summaries has no common one."""
    receivers = yaml.safe_load(CONFIG.read_text())["receivers"]
    pages = [page for one in receivers for page in one.get("pagerduty_configs", ())]
    happened = ("celery@a is gone", "celery@b is gone")
    data = tmp_path / "group.json"
    data.write_text(
        json.dumps({"alerts": [{"annotations": {"summary": summary}} for summary in happened]})
    )
    for page in pages:
        said = amtool(
            program, "template", "render", f"--template.glob={tmp_path}/*.tmpl",
            f"--template.data={data}", f"--template.text={page['description']}",
        )  # fmt: skip
        assert said == "; ".join(happened)
    assert len(pages) == 2


def test_inhibitions_name_alerts_that_exist():
    """A renamed alert would be told of in spite of what explains it."""
    config = yaml.safe_load(CONFIG.read_text())
    named = {
        name
        for rule in config["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        if matcher.startswith("alertname")
        for name in matcher.split('"')[1].split("|")
    }
    assert named - {"Celery.+"} - set(EVERY) == set()


@pytest.fixture
def alertmanager(program: Callable[[str], Path], tmp_path: Path) -> Iterator[str]:
    """Yield the address of a real one with the shipped configuration."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = (
        program("alertmanager"), f"--config.file={CONFIG}", f"--storage.path={tmp_path}",
        f"--web.listen-address={address}", "--cluster.listen-address=",
    )  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([str(word) for word in command], stderr=log, stdout=log)
    try:
        eventually(lambda: ready(address), 30, 0.1)
        yield f"http://{address}/api/v2/alerts"
    finally:
        process.terminate()
        process.wait(10)


def ready(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/-/ready", timeout=1).ok
    except requests.ConnectionError:
        return False


def alert(name: str, **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, **EVERY[name].labels, **labels}}


@pytest.mark.parametrize(
    ("source", "target", "held_back"),
    [
        pytest.param(
            alert("CeleryBrokerDown", job="shop"),
            alert("CeleryWorkerHung", job="shop", instance="celery@a"),
            True,
            id="broker-down-explains-a-hung-worker",
        ),
        pytest.param(
            alert("CeleryBrokerDown", job="shop"),
            alert("CeleryWorkerHung", job="mail", instance="celery@a"),
            False,
            id="another-service-has-another-broker",
        ),
        pytest.param(
            alert("CeleryCollectorDown", job="otel-celery"),
            alert("CeleryNoWorkers", job="shop"),
            True,
            id="without-the-collector-nothing-is-known",
        ),
        pytest.param(
            alert("CeleryCollectorUnreachable", job="otel-celery", instance="spare:8889"),
            alert("CeleryNoWorkers", job="shop"),
            False,
            id="one-collector-of-two-explains-nothing",
        ),
        pytest.param(
            alert("CeleryCollectorLosing", exporter="otlp_http", instance="spare:8888"),
            alert("CeleryCollectorQueueFull", exporter="otlp_http", instance="collector:8888"),
            False,
            id="another-collector-has-another-queue",
        ),
        pytest.param(
            alert("CeleryNoWorkers", job="shop"),
            alert("CeleryWorkerGone", job="shop", instance="celery@a"),
            True,
            id="all-gone-explains-one-gone",
        ),
        pytest.param(
            alert("CeleryQueueWithoutConsumers", messaging_destination_name="orders"),
            alert("CeleryQueueWaitHigh", messaging_destination_name="orders"),
            True,
            id="no-consumer-explains-waiting",
        ),
        pytest.param(
            alert("CeleryQueueDepthHigh", messaging_destination_name="o", severity="critical"),
            alert("CeleryQueueDepthHigh", messaging_destination_name="o", severity="warning"),
            True,
            id="the-higher-step-hides-the-lower",
        ),
        pytest.param(
            alert("CeleryQueueDepthHigh", messaging_destination_name="o", severity="critical"),
            alert("CeleryQueueDepthHigh", messaging_destination_name="p", severity="warning"),
            False,
            id="not-that-of-another-queue",
        ),
    ],
)
@pytest.mark.stack
def test_what_is_explained_is_held_back(
    alertmanager: str, source: dict[str, Any], target: dict[str, Any], held_back: bool
):
    """Asked of a real Alertmanager: the smaller alert is inhibited, the larger one is not."""
    requests.post(alertmanager, json=[source, target], timeout=5).raise_for_status()

    def told() -> list[bool]:
        found = requests.get(alertmanager, timeout=5).json()
        by = {tuple(sorted(each["labels"].items())): each["status"]["state"] for each in found}
        states = [by.get(tuple(sorted(each["labels"].items()))) for each in (source, target)]
        return [state == "suppressed" for state in states if state in ("active", "suppressed")]

    assert eventually(lambda: (seen := told()) == [False, held_back] and seen, 30, 0.2)
