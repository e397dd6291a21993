"""What is lost with a pool process that is killed?"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from otel_celery.wire import Ear, Mouth
from otel_celery.wire.will import Will, read
from tests.unit.test_wire import small_buffers
from tests.waiting import eventually

SENT = 500


def killed(ear: Ear, sent: int) -> int:
    """Send records from a process to an ear that does not listen, kill it, and return its pid."""
    pid = os.fork()
    if not pid:
        ear.forget_after_fork()
        mouth = Mouth(ear.address)
        for _ in range(sent):
            mouth.send(1, bytes(400))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    return pid


def heard(ear: Ear) -> tuple[int, int]:
    """Return how many records came, and how many they said were dropped."""
    records: list[int] = []

    def gone() -> bool:
        records.extend(record.dropped for record in ear.records())
        return bool(ear.gone)

    eventually(gone)
    return len(records), sum(records)


def test_what_a_killed_process_dropped_is_counted(monkeypatch: pytest.MonkeyPatch):
    """It could not tell with a next record: what arrives and what is counted is what was sent."""
    small_buffers(monkeypatch)
    ear = Ear()
    pid = killed(ear, SENT)
    came, told = heard(ear)
    assert 0 < came < SENT
    assert came + told + ear.lost == SENT
    assert not Path(ear.path).with_name(str(pid)).exists()
    ear.close()


def test_a_process_that_loses_nothing_leaves_nothing():
    ear = Ear()
    killed(ear, 3)
    assert heard(ear) == (3, 0)
    assert ear.lost == 0
    assert [path.name for path in Path(ear.path).parent.iterdir()] == ["relay"]
    ear.close()


def test_what_was_told_after_all_is_not_counted_again(monkeypatch: pytest.MonkeyPatch):
    """Main was slow for a while, and the process ended well."""
    small_buffers(monkeypatch)
    ear = Ear()
    mouth = Mouth(ear.address)
    for _ in range(SENT):
        mouth.send(1, bytes(400))
    records = [record.dropped for record in ear.records()]
    mouth.send(1, b"last")
    eventually(lambda: records.extend(one.dropped for one in ear.records()) or mouth.drain(0))
    records.extend(record.dropped for record in ear.records())
    mouth.close()
    list(ear.records())
    assert len(records) + sum(records) == SENT + 1
    assert ear.lost == 0
    ear.close()


@pytest.mark.parametrize("relay", ["@otel-celery/abstract", "/no/such/folder/relay"])
def test_without_a_directory_nothing_is_kept_and_nothing_fails(relay: str):
    will = Will(relay)
    will.write(3)
    assert (will.records, read(relay, os.getpid())) == (0, 0)
