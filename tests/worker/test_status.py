"""One look at a real broker, and at a worker with its tasks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celery import Celery

from tests.services import HOST, free_port
from tests.waiting import eventually
from tests.worker import harness


def look(environ: Mapping[str, str], url: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "otel_celery.cli", "status", "--json", "-b", url]
    done = subprocess.run(
        [*command, *arguments],
        env=dict(environ), stdout=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_queues_workers_pools_and_tasks_are_seen(
    tmp_path: Path, environ: dict[str, str], client: Celery
) -> None:
    """And nothing of it stays in the broker."""
    url = environ["CASES_BROKER"]
    with harness.worker(tmp_path, environ, "-c", "2") as worker:
        client.send_task("shop_of_cases.success").get(timeout=60)
        client.send_task("elsewhere", queue="mail")
        before = harness.keys(url)

        def answered() -> tuple[int, dict[str, Any]]:
            seen = look(environ, url, "-Q", "mail")
            assert seen[1]["workers"]
            return seen

        status, found = eventually(answered)
        eventually(lambda: harness.keys(url) == before)
        (seen,) = found["workers"]
        assert (status, found["broker"]["error"]) == (0, None)
        assert [(one["queue"], one["ready"]) for one in found["queues"]] == [("mail", 1)]
        assert (seen["worker"], seen["pid"]) == (harness.NODE, worker.process.pid)
        assert (seen["pool"], seen["concurrency"]) == ("prefork", 2)
        assert found["tasks"] == [{"task": "shop_of_cases.success", "taken": 1}]
    status, found = look(environ, f"redis://{HOST}:{free_port()}/0")
    assert (status, found["broker"]["error"]) == (1, "ConnectionError")
