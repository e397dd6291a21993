"""What does a worker lose when the project's own Collector has a bad day?"""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from collector.native.build import BuildError
from collector.native.programs import find
from tests.collector.collectors import Collector
from tests.faults import accounts, sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, OURS, WATCHING, Side
from tests.receiver import Answer, Receiver
from tests.services import missing
from tests.waiting import eventually

pytestmark = pytest.mark.stack

WORKER = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
TASKS = 100
MANY = 1_000
ENQUEUE_FAILED = "otelcol_exporter_enqueue_failed_spans_total"
LEAST = """
processors:
  memory_limiter: {check_interval: 100ms, limit_mib: 2, spike_limit_mib: 1}
"""


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The Collector of this tree's sources."""
    try:
        return find("otelcol-celery")
    except BuildError as why:
        missing(f"otelcol-celery: {str(why).splitlines()[0]}")


@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-out-of-memory")
def test_what_is_refused_for_want_of_memory_stays_with_the_worker(
    otelcol: Path,
    tmp_path: Path,
    redis_url: str,
    receiver: Receiver,
    measured: Measured,
    side: Side,
) -> None:
    collector = Collector(otelcol, tmp_path / "c", environ={"TRACES_ENDPOINT": receiver.url})
    least = tmp_path / "least.yaml"
    least.write_text(LEAST)
    environ = _environment(side, redis_url, receiver, collector)
    collector.configs.append(least)
    with sides.worker(tmp_path, environ, *WORKER) as worker:
        with collector.running():
            eventually(lambda: "Refusing data" in collector.log.read_text())  # not from its start
            sides.send(sides.environment(ALONE, redis_url, receiver), "quick", TASKS)
            eventually(lambda: worker.log.count("succeeded in") == TASKS, 240)
            time.sleep(12.0)  # longer than an exporter of the SDK tries
        assert accounts.spans(receiver).arrived == 0
        collector.configs.remove(least)
        with collector.running():
            if side == OURS:
                eventually(lambda: accounts.spans(receiver).arrived == TASKS)
            else:
                time.sleep(12.0)
            assert worker.stop() == 0
            time.sleep(2.0)
    processes = accounts.spans(receiver)
    measured("process spans that arrived", side, processes.of(TASKS))
    if side == OURS:
        assert "HTTP 503" in worker.log
        assert processes == (TASKS, 0)


@pytest.mark.fault("collector-queue-corrupt")
def test_what_a_worker_tells_waits_until_a_corrupt_queue_is_removed(
    otelcol: Path, tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured
) -> None:
    collector = Collector(otelcol, tmp_path / "c", environ={"TRACES_ENDPOINT": receiver.url})
    with collector.running():
        pass
    (queue,) = (tmp_path / "c" / "storage").iterdir()
    queue.write_bytes(b"\xff" * queue.stat().st_size)
    environ = _environment(OURS, redis_url, receiver, collector)
    sides.send(sides.environment(ALONE, redis_url, receiver), "quick", TASKS)
    with sides.worker(tmp_path, environ, *WORKER) as worker:
        eventually(lambda: worker.log.count("succeeded in") == TASKS, 240)
        with pytest.raises(RuntimeError, match="invalid database"), collector.running():
            pass
        queue.unlink()
        with collector.running():
            eventually(lambda: accounts.spans(receiver).arrived == TASKS)
            assert worker.stop() == 0
    measured("process spans that arrived", OURS, accounts.spans(receiver).of(TASKS))


@pytest.mark.long
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-disk-full")
def test_what_finds_no_room_on_the_disk_is_counted_by_the_collector(
    otelcol: Path,
    tmp_path: Path,
    redis_url: str,
    receiver: Receiver,
    measured: Measured,
    side: Side,
) -> None:
    collector = Collector(otelcol, tmp_path / "c", environ={"TRACES_ENDPOINT": receiver.url})
    environ = _environment(side, redis_url, receiver, collector)
    receiver.usual = lambda _: Answer(503)
    sides.send(sides.environment(ALONE, redis_url, receiver), "inner", MANY)
    with collector.running() as process:
        limited = psutil.Process(process.pid)
        _, most = limited.rlimit(psutil.RLIMIT_FSIZE)
        limited.rlimit(psutil.RLIMIT_FSIZE, (64 << 10, most))
        with sides.worker(tmp_path, environ, *WORKER) as worker:
            eventually(lambda: worker.log.count("succeeded in") == MANY, 240)
            assert worker.stop() == 0
        eventually(lambda: _lost(collector) > 0)
        limited.rlimit(psutil.RLIMIT_FSIZE, (most, most))
        receiver.usual = receiver.well
        if side == OURS:
            eventually(lambda: _all_known(receiver, collector), 120)
        else:
            time.sleep(40.0)  # longer than the Collector waits between two attempts
        lost = _lost(collector)
    measured("spans that arrived", side, f"{_arrived(receiver):,} of {2 * MANY:,}")
    measured("spans that the Collector counted as lost", side, f"{lost:,g}")
    if side == OURS:
        assert "do not get through" not in worker.log
        assert _arrived(receiver) + lost == 2 * MANY


def _all_known(receiver: Receiver, collector: Collector) -> None:
    arrived, lost = _arrived(receiver), _lost(collector)
    assert arrived + lost == 2 * MANY, (arrived, lost)


def _arrived(receiver: Receiver) -> int:
    """Return how many process spans and spans of tasks arrived."""
    inner = accounts.spans(receiver, name="inner")
    return accounts.spans(receiver).arrived + inner.arrived


def _lost(collector: Collector) -> float:
    """Return how many spans found no place in the Collector's queue, as it says."""
    told = collector.scraped("OTELCOL_TELEMETRY_PORT")
    return sum(value for name, value in told.items() if name.startswith(ENQUEUE_FAILED))


def _environment(side: Side, url: str, receiver: Receiver, collector: Collector) -> dict[str, str]:
    return sides.environment(side, url, receiver, OTEL_EXPORTER_OTLP_ENDPOINT=collector.otlp)
