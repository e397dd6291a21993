"""Probes of a real worker: it may not write at first, works, loses its broker, and stops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from celery import Celery

from tests.receiver import Receiver
from tests.services import ServiceMissing, missing, redis_service
from tests.waiting import eventually
from tests.worker import harness


def test_a_worker_is_probed_from_its_start_to_its_stop(tmp_path: Path, receiver: Receiver) -> None:
    """A folder that cannot be made harms no task, and is one fault."""
    try:
        broker = redis_service(tmp_path)
    except ServiceMissing as why:
        missing(str(why))
    environ = harness.environment(broker.url, receiver, TMPDIR=str(tmp_path))
    folder = tmp_path / f"otel-celery.{os.geteuid()}"
    folder.touch()  # where the folder would be

    def probe(*arguments: str) -> tuple[int, str, dict[str, dict[str, Any]]]:
        command = [sys.executable, "-m", "otel_celery.cli", "health", "--json", *arguments]
        done = subprocess.run(
            command, env=environ, stdout=subprocess.PIPE, text=True, timeout=60, check=False
        )
        said = json.loads(done.stdout)
        return done.returncode, said["state"], {one["check"]: one for one in said["checks"]}

    worker_there = ["-n", harness.NODE]
    with broker, harness.worker(tmp_path, environ, "-c", "1") as worker:
        with Celery(broker=broker.url, set_as_current=False) as client:
            client.send_task("shop_of_cases.success")
        eventually(lambda: harness.total(receiver, "celery.task.outcomes") == 1)
        assert probe(*worker_there)[:2] == (1, "unhealthy")
        faults = [
            (one.attributes, one.value) for one in harness.points(receiver, "otel_celery.faults")
        ]
        assert faults == [({"otel_celery.hook": "heartbeat file"}, 1)]

        folder.unlink()
        broker.stop()
        eventually(lambda: probe(*worker_there)[:2] == (0, "degraded"))
        assert probe("--strict", *worker_there)[:2] == (1, "degraded")
        assert probe("--ready", "-b", broker.url)[:2] == (1, "unhealthy")

        broker.start()
        eventually(lambda: probe("--strict", *worker_there)[:2] == (0, "healthy"))
        status, state, found = probe("--ready", *worker_there, "-b", broker.url, "--timeout", "30")
        assert (status, state, [*found]) == (0, "healthy", ["worker", "broker", "queue"])
        assert found["worker"]["pid"] == worker.process.pid
        assert worker.stop() == 0
        assert list(folder.iterdir()) == []
        assert probe(*worker_there)[:2] == (1, "unhealthy")
