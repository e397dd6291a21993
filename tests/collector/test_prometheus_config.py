"""Prometheus takes its configuration, and sees exemplars before they are gone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from collector.native.compose import services
from otel_celery.sdk.metrics import DEFAULT_INTERVAL_MS

HERE = Path(__file__).parents[2] / "collector" / "prometheus"


@pytest.mark.stack
def test_promtool_takes_it(program: Callable[[str], Path], tmp_path: Path):
    """With its rules, and no word that is deprecated."""
    shutil.copytree(HERE, tmp_path, dirs_exist_ok=True)
    done = subprocess.run(
        [program("promtool"), "check", "config", "--lint=all", tmp_path / "prometheus.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
    assert "deprecat" not in (done.stdout + done.stderr).lower()


def test_scrapes_are_not_rarer_than_exports():
    """An exemplar stands on the Collector's page for one export interval."""
    told = yaml.safe_load((HERE / "prometheus.yml").read_text())
    interval = told["global"]["scrape_interval"]
    assert int(interval.removesuffix("s")) * 1000 <= DEFAULT_INTERVAL_MS


def test_targets_are_ports_of_services():
    told = yaml.safe_load((HERE / "prometheus.yml").read_text())
    groups = [group for job in told["scrape_configs"] for group in job["static_configs"]]
    groups += told["alerting"]["alertmanagers"][0]["static_configs"]
    targets = {target for group in groups for target in group["targets"]}
    known = {
        f"{service.name}:{port}"
        for service in services({}).values()
        for port in (*service.published, *service.exposed)
    }
    assert targets <= known
