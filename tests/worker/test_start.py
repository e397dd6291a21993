"""What cannot work is said when a worker starts, with the remedy, and the worker does not start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.receiver import receiving
from tests.services import HOST, free_port
from tests.worker import harness


@pytest.mark.parametrize(
    ("variables", "remedy"),
    [
        pytest.param(
            {"OTEL_CELERY_QUEUE_INTERVAL": "soon", "OTEL_CELERY_TRACE_STRUCTURE": "tree"},
            ["OTEL_CELERY_QUEUE_INTERVAL='soon'", "OTEL_CELERY_TRACE_STRUCTURE='tree'"],
            id="ours",
        ),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "pigeon"}, ["OTEL_TRACES_EXPORTER='pigeon'"], id="standard"
        ),
        pytest.param(
            {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST": HOST},
            ["OTEL_EXPORTER_PROMETHEUS_PORT=", "each worker of a host needs a port of its own"],
            id="port-taken",
        ),
    ],
)
def test_a_worker_that_cannot_be_observed_as_asked_does_not_start(
    tmp_path: Path, variables: dict[str, str], remedy: list[str]
) -> None:
    """The message names variable, value and what was expected."""
    with receiving() as receiver:
        if "OTEL_METRICS_EXPORTER" in variables:
            taken = receiver.url.rpartition(":")[2]
            variables = {**variables, "OTEL_EXPORTER_PROMETHEUS_PORT": taken}
        nobody = f"redis://{HOST}:{free_port()}/0"
        ended = subprocess.run(
            [sys.executable, "-m", "celery", "-A", "shop_of_cases", "worker", "-P", "solo"],
            cwd=harness.HERE,
            env=harness.environment(nobody, receiver, **variables),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode != 0
    assert [text for text in remedy if text not in ended.stderr + ended.stdout] == []
