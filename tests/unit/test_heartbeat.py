"""Where does a worker show others on its host that it lives, and whom do they believe?"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from otel_celery import heartbeat
from otel_celery.heartbeat import Heartbeat, HeartbeatFile, NotTrusted

NAME = "celery@host.example"
AT = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def file() -> HeartbeatFile:
    return HeartbeatFile(NAME)


def shown() -> Heartbeat:
    return heartbeat.read(heartbeat.path_of(NAME))


def test_a_reader_sees_the_last_heartbeat_and_the_connection(file: HeartbeatFile):
    file.show(AT, connected=False)
    assert shown() == Heartbeat(AT, os.getpid(), connected=False)
    file.show(AT + 5, connected=True)
    file.show(AT + 10, connected=True)
    assert shown() == Heartbeat(AT + 10, os.getpid(), connected=True)
    assert list(file.path.parent.iterdir()) == [file.path]


def test_without_tmpdir_it_is_the_folder_that_every_program_of_the_user_looks_in(
    monkeypatch: pytest.MonkeyPatch,
):
    """Not that of Python's tempfile, which differs with the rights of who asks."""
    monkeypatch.delenv("TMPDIR")
    assert heartbeat.path_of(NAME) == Path(f"/tmp/otel-celery.{os.geteuid()}/{NAME}")


def test_a_heartbeat_that_changes_nothing_else_costs_one_call(
    file: HeartbeatFile, monkeypatch: pytest.MonkeyPatch
):
    """Which needs no room on the disk."""
    file.show(AT, connected=True)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it was written"))
    file.show(AT + 5, connected=True)
    monkeypatch.undo()
    assert file.path.stat().st_mtime == AT + 5


def test_a_file_that_somebody_has_removed_comes_again(file: HeartbeatFile):
    """Folders for what is temporary are tidied up."""
    file.show(AT, connected=True)
    file.path.unlink()
    file.path.parent.rmdir()
    file.show(AT, connected=True)
    assert shown().at == AT


def test_only_this_user_may_enter(file: HeartbeatFile):
    file.show(AT, connected=True)
    modes = [path.stat().st_mode & 0o777 for path in (file.path.parent, file.path)]
    assert modes == [0o700, 0o600]


def test_a_full_disk_is_told_and_tried_again(file: HeartbeatFile, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            file.show(AT, connected=True)
    assert not file.path.exists()
    file.show(AT, connected=True)
    assert shown().at == AT


def test_no_folder_can_be_made_where_a_file_stands(file: HeartbeatFile):
    file.path.parent.touch()
    with pytest.raises(OSError, match="otel-celery"):
        file.show(AT, connected=True)


def test_a_folder_that_others_may_write_is_believed_by_nobody(file: HeartbeatFile):
    """Anybody may make such a folder in /tmp before a worker does."""
    file.show(AT, connected=True)
    file.path.parent.chmod(0o777)
    with pytest.raises(NotTrusted):
        shown()
    with pytest.raises(NotTrusted):
        HeartbeatFile(NAME).show(AT, connected=True)


def test_a_link_is_not_followed(file: HeartbeatFile, tmp_path: Path):
    file.show(AT, connected=True)
    elsewhere = tmp_path / "elsewhere"
    file.path.rename(elsewhere)
    file.path.symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        shown()


@pytest.mark.parametrize("says", [b"", b"[]", b"{}", b'{"pid": "x", "connected": true}', b"\xff"])
def test_a_file_that_no_worker_wrote_says_nothing(file: HeartbeatFile, says: bytes):
    file.show(AT, connected=True)
    file.path.write_bytes(says)
    with pytest.raises(NotTrusted, match="no file of a worker"):
        shown()


def test_a_worker_that_has_stopped_leaves_nothing(file: HeartbeatFile):
    file.remove()
    file.show(AT, connected=True)
    file.remove()
    with pytest.raises(FileNotFoundError):
        shown()


def test_names_are_those_of_the_workers_that_left_a_file():
    """Also one that appends its pid after a slash, because another has its name."""
    assert heartbeat.names() == []
    for name in ("w1@host", "celery@host/71"):
        HeartbeatFile(name).show(time.time(), connected=True)
    assert heartbeat.names() == ["celery@host/71", "w1@host"]


def test_what_killed_workers_left_goes_after_a_day():
    """In containers each has a name of its own."""
    for name, ago in (("long@ago", 86_401), ("just@now", 86_300)):
        HeartbeatFile(name).show(time.time() - ago, connected=True)
    HeartbeatFile(NAME).show(time.time(), connected=True)
    assert heartbeat.names() == [NAME, "just@now"]
