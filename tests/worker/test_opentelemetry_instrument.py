"""A worker that is switched on from outside, by `opentelemetry-instrument`."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from celery import Celery

from tests.receiver import receiving
from tests.services import missing, running
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.harness import CONSUMER, Seen

NAME = f"auto{os.getpid()}@test"  # two runs at once on one host are two workers
TAKEOVER = "otel-celery takes over from opentelemetry-instrumentation-celery"
POOLS = {
    "prefork": ("-P", "prefork", "-c", "1"),
    "spawn": ("-P", "prefork", "-c", "1"),
    "threads": ("-P", "threads", "-c", "1"),
    "gevent": ("-P", "gevent", "-c", "1"),
}


class Told(NamedTuple):
    """What one worker told of one task, which returned its process's threads."""

    threads: list[str]
    seen: list[Seen]
    scopes: set[str]
    log: str


def told(folder: Path, url: str, pool: str, **variables: str) -> Told:
    """Run `opentelemetry-instrument celery worker` for one task."""
    program = Path(sys.executable).parent
    log = folder / "worker.log"
    with receiving() as receiver:
        environ = harness.environment(url, receiver, **variables)
        # It measures each process by itself, and so needs a reader, with a thread, in each.
        environ.setdefault("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "system_metrics")
        environ["PATH"] = f"{program}:{environ['PATH']}"
        if pool == "spawn":
            environ["START_METHOD"] = "spawn"
        command = [
            *(str(program / "opentelemetry-instrument"), str(program / "celery")),
            *("-A", "plain_app", "worker", "-l", "INFO", "-n", NAME, *POOLS[pool]),
        ]
        client = Celery(broker=url, backend=environ["CASES_BACKEND"], set_as_current=False)
        with client, running(command, log, environ, grace=20.0) as worker:

            def ready() -> bool:
                assert worker.poll() is None, log.read_text()
                return " ready." in log.read_text()

            eventually(ready)
            threads = client.send_task("plain.quiet").get(timeout=60)
            worker.terminate()
            assert worker.wait(20) == 0, log.read_text()
        scopes = {
            by_scope.scope.name
            for request in receiver.metrics
            for by_resource in request.resource_metrics
            for by_scope in by_resource.scope_metrics
        }
        return Told(threads, harness.spans(receiver), scopes, log.read_text())


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a Redis of this file's own."""
    if shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent)) is None:
        missing("opentelemetry-instrument is not installed")
    with harness.broker(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.mark.parametrize("pool", POOLS)
def test_nothing_is_made_before_the_fork_and_all_is_told(
    tmp_path: Path, redis_url: str, pool: str
) -> None:
    """The app says nothing of telemetry; a process span and the user's span under it arrive."""
    if pool == "gevent":
        pytest.importorskip("gevent")
    found = told(tmp_path, redis_url, pool)
    assert "before the fork: ['MainThread']" in found.log
    assert not [name for name in found.threads if name.startswith("Otel")]
    spans = {one.span.name: one for one in found.seen}
    assert Counter(one.span.name for one in found.seen) == {"process plain.quiet": 1, "inner": 1}
    assert spans["inner"].parent == spans["process plain.quiet"].id
    for one in found.seen:
        who = one.resource
        assert (who["service.name"], who["service.instance.id"]) == ("plain", NAME)
    assert "otel_celery" in found.scopes
    assert "fault in" not in found.log


def test_contribs_instrumentation_is_taken_over_wherever_it_was_loaded(
    tmp_path: Path, redis_url: str
) -> None:
    """With another distro it is loaded before or after ours: one span, one line in the log."""
    pytest.importorskip("opentelemetry.instrumentation.celery")
    found = told(tmp_path, redis_url, "prefork", OTEL_PYTHON_DISTRO="of-somebody-else")
    assert [one.span.name for one in found.seen if one.span.kind == CONSUMER] == [
        "process plain.quiet"
    ]
    assert found.log.count(TAKEOVER) == 1


def test_without_our_instrumentor_a_worker_is_like_any_other_program(
    tmp_path: Path, redis_url: str
) -> None:
    """It has a name of its own to be switched off by; the SDK is configured as ever then."""
    found = told(
        tmp_path,
        redis_url,
        "prefork",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="other, otel_celery",
    )
    assert "OtelBatchSpanRecordProcessor" in found.threads
    assert "otel_celery" not in found.scopes | {one.scope for one in found.seen}
    assert TAKEOVER not in found.log
