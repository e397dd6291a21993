"""Which programs are workers, and what the distro decides for them."""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

from otel_celery.configurator import Configurator
from otel_celery.distro import Distro, disabled, runs_worker

DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("python /v/bin/celery -A proj worker -c 4", True, id="script"),
        pytest.param("python -m celery -A proj worker", True, id="module"),
        pytest.param(r"python.exe celery.exe -A proj worker", True, id="windows"),
        pytest.param("python celery --app worker worker", True, id="app-called-worker"),
        pytest.param("python -X dev -m celery --app=proj worker -B", True, id="options"),
        pytest.param("python -c spawn_main() --billiard-fork", True, id="spawned"),
        pytest.param("python /v/bin/celery -A proj beat", False, id="beat"),
        pytest.param("python /v/bin/celery -A worker beat", False, id="beat-of-app-worker"),
        pytest.param("python /v/bin/celery multi start w1 -A proj", False, id="multi"),
        pytest.param("python /v/bin/gunicorn proj.celery:app worker", False, id="gunicorn"),
        pytest.param("python manage.py worker", False, id="other-program"),
        pytest.param("python", False, id="interactive"),
    ],
)
def test_a_worker_is_known_by_its_command_line(command: str, expected: bool) -> None:
    """Nothing else is there yet: the SDK is configured before Celery is imported."""
    assert runs_worker(command.split()) is expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param("", False, id="unset"),
        pytest.param("celery", False, id="contribs"),
        pytest.param("redis , otel_celery", True, id="ours"),
        pytest.param("*", True, id="all"),
    ],
)
def test_ours_is_disabled_by_its_own_name(named: str, expected: bool) -> None:
    """Contrib's name is another one."""
    assert disabled({DISABLED: named}) is expected


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect how often, and with what, the SDK is configured."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(
        _OTelSDKConfigurator, "_configure", lambda self, **options: calls.append(options)
    )
    monkeypatch.setattr(Configurator, "_instance", None)
    return calls


@pytest.mark.parametrize(
    ("command", "named", "expected"),
    [
        pytest.param(["celery", "worker"], "", [], id="worker"),
        pytest.param(["gunicorn"], "", [{"version": "1"}], id="publisher"),
        pytest.param(["celery", "worker"], "otel_celery", [{"version": "1"}], id="disabled"),
    ],
)
def test_the_sdk_is_configured_everywhere_but_in_a_worker(
    monkeypatch: pytest.MonkeyPatch,
    configured: list[dict[str, Any]],
    command: list[str],
    named: str,
    expected: list[dict[str, Any]],
) -> None:
    """A worker and its pool processes provide for themselves, after the fork."""
    monkeypatch.setattr(sys, "orig_argv", command)
    monkeypatch.setenv(DISABLED, named)
    Configurator().configure(version="1")
    assert configured == expected


def test_telemetry_goes_out_over_http_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The SDK itself would export nothing; what is set stays."""
    monkeypatch.setattr(sys, "orig_argv", ["gunicorn"])
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        monkeypatch.setenv(name, "")  # put back what there was
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console")
    Distro().configure()
    assert {name: text for name, text in os.environ.items() if name.startswith("OTEL_")} == {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "console",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }


class Switched(BaseInstrumentor):
    """Notes that it was switched on."""

    on: list[Any] = []  # noqa: RUF012 - the instance is made by whoever loads it

    def instrumentation_dependencies(self) -> tuple[str, ...]:
        return ()

    def _instrument(self, **options: Any) -> None:
        self.on.append(options)

    def _uninstrument(self, **options: Any) -> None:
        """Nothing to undo."""


@pytest.mark.parametrize(
    ("name", "named", "expected"),
    [
        pytest.param("redis", "", 1, id="another"),
        pytest.param("celery", "", 0, id="contribs"),
        pytest.param("celery", "otel_celery", 1, id="contribs-without-ours"),
    ],
)
def test_contribs_instrumentor_is_left_out_where_ours_is_in(
    monkeypatch: pytest.MonkeyPatch, name: str, named: str, expected: int
) -> None:
    """Two would tell all twice."""
    monkeypatch.setenv(DISABLED, named)
    monkeypatch.setattr(Switched, "on", [])
    monkeypatch.setattr(EntryPoint, "load", lambda self: Switched)
    Distro().load_instrumentor(EntryPoint(name, "some:Thing", "opentelemetry_instrumentor"))
    assert len(Switched.on) == expected
    Switched().uninstrument()
