"""The queues are read while no worker is up, by two at once, to the last export."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery

from tests.receiver import Receiver
from tests.services import running
from tests.waiting import eventually
from tests.worker import harness


def depths(receiver: Receiver) -> dict[str, dict[tuple[Any, ...], float]]:
    """Return what each instance last said of the queues that are not empty."""
    found: dict[str, dict[tuple[Any, ...], float]] = {}
    for point in harness.points(receiver, "celery.queue.depth"):
        if point.value:
            series = tuple(sorted(point.attributes.items()))
            found.setdefault(point.instance, {})[series] = point.value
    return found


def test_two_monitors_say_the_same_and_the_last_word_is_exported(
    redis_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    """One exports each half second, the other has only its end to do so."""
    with Celery(broker=redis_url, set_as_current=False) as client:
        for queue in ("mail", "mail", "celery"):
            client.send_task("shop.pay", queue=queue)
    command = [sys.executable, "-m", "otel_celery.cli", "monitor", "-b", redis_url]
    command += ["-Q", "mail", "-Q", "celery", "--interval", "1"]
    often = harness.environment(redis_url, receiver, OTEL_SERVICE_NAME="shop")
    log, quiet_log = tmp_path / "monitor.log", tmp_path / "quiet.log"
    quiet = {**often, "OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
    attributes = {"messaging.system": "redis", "celery.queue.message.state": "ready"}
    expected = {
        tuple(sorted({**attributes, "messaging.destination.name": queue}.items())): waiting
        for queue, waiting in (("mail", 2), ("celery", 1))
    }
    with running(command, log, often) as first, running(command, quiet_log, quiet) as second:
        eventually(lambda: list(depths(receiver).values()) == [expected])
        eventually(lambda: "monitor: reads redis\n" in quiet_log.read_text())
        assert len(depths(receiver)) == 1
        assert end(second, signal.SIGTERM) == 0
        assert list(depths(receiver).values()) == [expected, expected]
        assert end(first, signal.SIGINT) == 0
    assert (log.read_text(), quiet_log.read_text()) == ("otel-celery monitor: reads redis\n",) * 2
    assert receiver.traces == []
    resources = [
        harness.plain(one.resource.attributes)
        for request in receiver.metrics
        for one in request.resource_metrics
    ]
    assert {one["service.name"] for one in resources} == {"shop"}
    assert not [one for one in resources if "celery.worker.name" in one]


def end(process: subprocess.Popen[bytes], how: int) -> int:
    process.send_signal(how)
    return process.wait(60)


def test_a_worker_that_is_not_instrumented_is_heard_on_request(
    redis_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    """Under its own name, and nothing is left in the broker."""
    environ = harness.environment(redis_url, receiver)
    command = [sys.executable, "-m", "otel_celery.cli", "monitor", "-b", redis_url]
    command += ["--heartbeat", harness.NODE]
    log = tmp_path / "monitor.log"
    with harness.worker(tmp_path, environ, "-P", "solo", app="plain_app"):
        before = harness.keys(redis_url)
        with running(command, log, environ) as monitor:

            def heard() -> list[harness.Point]:
                return harness.points(receiver, "celery.worker.heartbeat.timestamp")

            (point,) = eventually(heard)
            assert (point.instance, point.attributes) == (harness.NODE, {})
            assert 0 <= time.time() - point.value < 60
            assert end(monitor, signal.SIGTERM) == 0
        assert harness.keys(redis_url) == before
    assert log.read_text() == "otel-celery monitor: reads redis\n"
