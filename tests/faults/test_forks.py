"""What do children of a process get that is busy telling?"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults import sides
from tests.faults.many import many
from tests.faults.results import Measured
from tests.faults.sides import CONTRIB, OURS, Side
from tests.faults.tally import Tally, tallying
from tests.waiting import eventually

SENT, QUEUED = "messaging.client.sent.messages", "otel.sdk.processor.span.processed"
OF_PARENT, OF_CHILDREN = "of.parent", "of.children"
WORKER = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2", "-Q", "busy")


def hammered(
    folder: Path, side: Side, url: str, receiver: Any, forks: int, kind: str, **variables: str
) -> dict[str, Any]:
    """Have a program or a worker fork, and return what it told of that."""
    told, log = folder / "told.json", folder / "forks.log"
    own = {
        "FORKS": str(forks),
        "AS": kind,
        "TOLD": str(told),
        "OTEL_METRIC_EXPORT_INTERVAL": "1",
        "OTEL_CELERY_QUEUE_INTERVAL": "0.001",
        "OTEL_CELERY_FLUSH_TIMEOUT": "60",
    }
    environ = sides.environment(side, url, receiver, **own | variables)
    seconds = 120 + forks
    if kind == "pool":
        with sides.worker(folder, environ, *WORKER, app="forking_app") as worker:
            eventually(told.exists, seconds)
            eventually(lambda: worked_off(worker.log))
            assert worker.stop(timeout=120) == 0
            text = worker.log
    else:
        command = [sys.executable, str(sides.HERE / "forking_app.py")]
        with log.open("wb") as out:
            program = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
        try:
            program.wait(seconds)
        except subprocess.TimeoutExpired:
            program.send_signal(signal.SIGUSR1)  # it says where it hangs
            raise
        finally:
            program.kill()
            program.wait()
            text = log.read_text()
    assert side != OURS or "Timeout (" not in text, text[text.index("Timeout (") :]
    assert side != OURS or "fault in" not in text, text[text.index("fault in") :]
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def worked_off(log: str) -> bool:
    """Has each task that was received been done?"""
    received, done = (
        len(re.findall(rf"Task noise\[\S+ {word}", log)) for word in ("received", "succeeded")
    )
    return received == done


def judged(tally: Tally, told: dict[str, Any], forks: int, kind: str) -> None:
    """See that nothing hung, came twice or is missing."""
    assert told["failed"] == []
    assert tally.twice == 0
    assert tally.names["publish unheard"] == forks
    assert len(tally.sums(OF_PARENT)) <= 1
    if kind == "pool":
        assert tally.names["child"] == forks
        # A pool process that leaves gives an exporter of the SDK's two seconds, no more.
        assert tally.total(OF_CHILDREN) <= forks
        assert tally.total(SENT) == forks + 1
        assert tally.names["noise"] == tally.names["process noise"]
    else:
        made = told["points"]
        dropped = tally.total(QUEUED, error__type="queue_full")
        assert tally.names["publish noise"] + dropped == made
        assert tally.total(SENT) == made + forks


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "provider", "usual", "full"),
    [
        pytest.param("publisher", "", 100, 3000, id="publisher"),
        pytest.param("pool", "", 100, 5000, id="worker"),
        pytest.param("pool", "own", 100, 2000, id="worker-with-providers-of-the-application"),
    ],
)
@pytest.mark.fault("forks-of-a-busy-process")
def test_a_child_hangs_nowhere_and_repeats_nothing(
    tmp_path: Path,
    redis_url: str,
    measured: Measured,
    kind: str,
    provider: str,
    usual: int,
    full: int,
    request: pytest.FixtureRequest,
) -> None:
    forks = many(usual, full)
    tally = Tally(SENT, QUEUED, OF_PARENT, OF_CHILDREN)
    with tallying(tally) as receiver:
        told = hammered(tmp_path, OURS, redis_url, receiver, forks, kind, PROVIDER=provider)
    judged(tally, told, forks, kind)
    name = request.node.callspec.id.replace("-", " ")
    measured(f"{name}: children that hung", OURS, f"0 of {forks}")
    measured(f"{name}: spans of children", OURS, f"{tally.names['publish unheard']} of {forks}")
    measured(f"{name}: spans that came twice", OURS, tally.twice)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["publisher", "pool"])
@pytest.mark.fault("forks-of-a-busy-process")
def test_forks_beside_contrib(
    tmp_path: Path, redis_url: str, measured: Measured, kind: str
) -> None:
    forks, tally = many(30, 300), Tally(OF_CHILDREN)
    with tallying(tally) as receiver:
        told = hammered(tmp_path, CONTRIB, redis_url, receiver, forks, kind, DEADLINE="20")
    name = "worker" if kind == "pool" else kind
    measured(f"{name}: children that hung", CONTRIB, f"{len(told['failed'])} of {forks}")
    came = tally.names["apply_async/unheard"]
    measured(f"{name}: spans of children", CONTRIB, f"{came} of {forks}")
    measured(f"{name}: spans that came twice", CONTRIB, tally.twice)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["publisher", "pool"])
@pytest.mark.fault("forks-with-grpc")
def test_forks_of_a_process_that_speaks_grpc(
    tmp_path: Path, redis_url: str, measured: Measured, kind: str
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    from tests.worker.grpc_receiver import receiving_grpc

    forks, tally = many(50, 500), Tally(SENT, QUEUED, OF_PARENT, OF_CHILDREN)
    with receiving_grpc() as receiver:
        told = hammered(
            tmp_path, OURS, redis_url, receiver, forks, kind,
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_METRIC_EXPORT_INTERVAL="50",
        )  # fmt: skip
    for traces in receiver.traces:
        tally.traces(traces)
    for points in receiver.metrics:
        tally.points(points)
    judged(tally, told, forks, kind)
    name = "worker" if kind == "pool" else kind
    measured(f"{name}: children that hung", OURS, f"0 of {forks}")
    measured(f"{name}: spans of children", OURS, f"{tally.names['publish unheard']} of {forks}")
    measured(f"{name}: spans that came twice", OURS, tally.twice)
