"""Who reads the queues where no worker does?"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

import pytest

from otel_celery.cli import main
from otel_celery.cli.monitor import Said, settings_of


@pytest.mark.parametrize(
    ("given", "variables", "interval"),
    [
        pytest.param(None, {}, 15.0, id="as-a-worker"),
        pytest.param(None, {"OTEL_CELERY_QUEUE_INTERVAL": "7"}, 7.0, id="variable"),
        pytest.param(None, {"OTEL_CELERY_QUEUE_INTERVAL": "0"}, 15.0, id="off-in-workers"),
        pytest.param(3.0, {"OTEL_CELERY_QUEUE_INTERVAL": "7"}, 3.0, id="argument"),
    ],
)
def test_the_interval_is_a_worker_s_unless_workers_are_told_not_to_read(
    given: float | None, variables: Mapping[str, str], interval: float
):
    found = settings_of(Namespace(interval=given, queue=[]), variables)
    assert found.queue_interval == interval


def test_queues_of_arguments_and_of_the_variable_are_read():
    arguments = Namespace(interval=None, queue=["eu", "mail"])
    found = settings_of(arguments, {"OTEL_CELERY_QUEUES": "mail,parked"})
    assert found.queues == ("mail", "parked", "eu")


@pytest.mark.parametrize(
    ("variables", "broker", "words"),
    [
        pytest.param({"OTEL_SDK_DISABLED": "true"}, "memory://", "OTEL_SDK_DISABLED", id="off"),
        pytest.param({"OTEL_METRICS_EXPORTER": "x"}, "memory://", "'x'", id="no-such-exporter"),
        pytest.param({"OTEL_CELERY_QUEUE_INTERVAL": "x"}, "memory://", "'x'", id="setting"),
        pytest.param({}, "pyro://nowhere", "by pyro cannot be read", id="no-reader"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(
    variables: Mapping[str, str],
    broker: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["monitor", "-b", broker]) == 1
    assert words in capsys.readouterr().err


def test_a_line_is_said_when_the_broker_begins_or_ceases_to_answer():
    lines: list[str] = []
    said = Said(lines.append)
    for error in (None, None, "ConnectionError", "ConnectionError", None):
        said(0.1, error, "redis")
    reads = "otel-celery monitor: reads redis\n"
    down = "otel-celery monitor: redis does not answer: ConnectionError\n"
    assert lines == [reads, down, reads]
