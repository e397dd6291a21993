"""How do whole records get from a pool process to main?"""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otel_celery.wire import MAX_RECORD, Ear, Mouth, Record, framing
from tests.waiting import eventually

BACKLOG = 64  # records that wait in the sender when main does not read
HEAD = struct.Struct("<4sBI")
ME = os.getpid()


@pytest.fixture(params=[pytest.param(True, id="seqpacket"), pytest.param(False, id="stream")])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both kinds of socket; a kernel without SEQPACKET has streams."""
    if request.param and not framing.SEQPACKET:
        pytest.skip("no SOCK_SEQPACKET here")
    monkeypatch.setattr(framing, "SEQPACKET", request.param)
    return request.param


on_packets = pytest.mark.parametrize("kernel", [pytest.param(True, id="seqpacket")], indirect=True)
on_streams = pytest.mark.parametrize("kernel", [pytest.param(False, id="stream")], indirect=True)


@pytest.fixture
def ear(kernel: bool):
    made = Ear()
    yield made
    made.close()


@pytest.fixture
def mouth(ear: Ear):
    made = Mouth(ear.address)
    yield made
    made.close()


def heard(ear: Ear) -> list[tuple[int, int, bytes]]:
    return [(record.kind, record.dropped, record.payload) for record in ear.records()]


def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers of a few kilobytes, so that a test fills them at once."""
    monkeypatch.setattr(framing, "BUFFER", 1)


def stranger(ear: Ear) -> socket.socket:
    """Somebody of the same user who does not speak our language."""
    kind = socket.SOCK_SEQPACKET if framing.SEQPACKET else socket.SOCK_STREAM
    end = socket.socket(socket.AF_UNIX, kind)
    end.connect(ear.path)
    return end


def insider(ear: Ear) -> socket.socket:
    """A pool process that does not speak our language either."""
    end = stranger(ear)
    secret = ear.address.partition(" ")[0].encode()
    end.send(framed(HEAD.pack(b"otc1", 0, 0) + secret))
    return end


def framed(record: bytes) -> bytes:
    return record if framing.SEQPACKET else struct.pack("<I", len(record)) + record


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00otc1\xff", id="bytes-of-any-value"),
        pytest.param(b"x" * 200_000, id="large"),
    ],
)
def test_a_record_arrives_whole_and_says_who_sent_it(ear: Ear, mouth: Mouth, payload: bytes):
    assert mouth.send(3, payload)
    assert list(ear.records()) == [Record(3, 0, payload, ME)]


def test_records_of_one_sender_keep_their_order(ear: Ear, mouth: Mouth):
    for number in range(50):
        mouth.send(1, b"%d" % number)
    assert heard(ear) == [(1, 0, b"%d" % number) for number in range(50)]


def test_many_senders_are_all_heard(ear: Ear):
    mouths = [Mouth(ear.address) for _ in range(100)]
    for number, mouth in enumerate(mouths):
        mouth.send(1, b"%d" % number)
    assert sorted(heard(ear)) == sorted((1, 0, b"%d" % number) for number in range(100))
    for mouth in mouths:
        mouth.close()


def test_threads_of_one_sender_lose_and_repeat_nothing(ear: Ear, mouth: Mouth):
    """A task may end spans in threads of its own."""
    payloads = [b"%03d" % number * 30 for number in range(200)]  # all of it fits in any buffer
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda payload: mouth.send(1, payload), payloads))
    assert sorted(record.payload for record in ear.records()) == payloads


def test_nobody_speaks(ear: Ear):
    assert not ear.wait(0)
    assert heard(ear) == []


def test_main_wakes_when_somebody_speaks(ear: Ear, mouth: Mouth):
    mouth.send(1, b"")
    assert ear.wait(0)


def test_what_main_does_not_read_waits_a_little_then_is_dropped_and_counted(
    ear: Ear, mouth: Mouth, monkeypatch: pytest.MonkeyPatch
):
    """The count travels with the next record, once."""
    small_buffers(monkeypatch)
    payload = b"x" * 1000
    sent = [mouth.send(1, payload) for _ in range(1000)]
    kept, dropped = sent.count(True), sent.count(False)
    assert sent == [True] * kept + [False] * dropped
    assert (kept > BACKLOG, dropped > 0, mouth.dropped) == (True, True, dropped)

    records = heard(ear)  # what the kernel held
    for _ in range(2 * BACKLOG):  # each takes some of the backlog with it
        assert mouth.send(2, b"")
        records += heard(ear)
    assert records == [
        *[(1, 0, payload)] * kept,
        (2, dropped, b""),
        *[(2, 0, b"")] * (2 * BACKLOG - 1),
    ]


def test_a_count_that_is_dropped_with_its_record_travels_with_a_later_one(
    ear: Ear, mouth: Mouth, monkeypatch: pytest.MonkeyPatch
):
    """Main adds up what it hears: the sum is what was dropped."""
    small_buffers(monkeypatch)
    kept = 0
    while mouth.send(1, b"x" * 1000):
        kept += 1
    for _ in range(9):
        assert not mouth.send(1, b"x" * 1000)
    assert not mouth.send(1, b"takes the count with it, and has no room")
    total = 0
    for _ in range(2 * BACKLOG):
        total += sum(lost for _, lost, _ in heard(ear))
        mouth.send(2, b"")
    assert total == mouth.dropped == 11


def test_a_record_over_the_limit_is_dropped_and_counted(ear: Ear, mouth: Mouth):
    assert not mouth.send(1, b"x" * (MAX_RECORD - HEAD.size + 1))
    assert mouth.send(1, b"next")
    assert heard(ear) == [(1, 1, b"next")]


@on_packets
def test_a_record_that_no_buffer_of_the_kernel_takes_holds_up_no_other(
    ear: Ear, mouth: Mouth, monkeypatch: pytest.MonkeyPatch
):
    """The usual Linux allows 416 KiB to a socket: a larger record would be refused for ever."""
    small_buffers(monkeypatch)
    mouth.send(1, b"before")
    assert not mouth.send(1, b"x" * 100_000)
    assert mouth.send(1, b"next")
    assert (heard(ear), list(ear.gone)) == ([(1, 0, b"before"), (1, 1, b"next")], [])


@on_streams
def test_a_stream_takes_a_large_record_in_parts(
    ear: Ear, mouth: Mouth, monkeypatch: pytest.MonkeyPatch
):
    small_buffers(monkeypatch)
    payload = os.urandom(100_000)
    mouth.send(1, payload)
    mouth.send(2, b"after")
    records: list[tuple[int, int, bytes]] = []
    while len(records) < 2:
        records += heard(ear)
        mouth.send(3, b"")
    assert records[:2] == [(1, 0, payload), (2, 0, b"after")]


def test_an_end_is_noted_with_its_process_and_time_after_its_last_record(ear: Ear, mouth: Mouth):
    before = time.monotonic_ns()
    mouth.send(1, b"last word")
    mouth.close()
    assert heard(ear) == [(1, 0, b"last word")]
    (gone,) = ear.gone
    assert gone[0] == ME
    assert before <= gone[1] <= time.monotonic_ns()
    assert heard(ear) == []
    assert len(ear.gone) == 1


SENDER = """
import sys
from otel_celery.wire import Mouth, framing
framing.SEQPACKET = sys.argv[2] == "True"
mouth = Mouth(sys.argv[1])
while True:
    mouth.send(1, b"<" + b"x" * 5000 + b">")
"""


def test_a_sender_that_is_killed_tears_no_record(ear: Ear, kernel: bool):
    """Whatever it was doing at that moment."""
    sender = subprocess.Popen([sys.executable, "-c", SENDER, ear.address, str(kernel)])
    try:
        records: list[Record] = []
        eventually(lambda: records.extend(ear.records()) or len(records) > 200)
    finally:
        sender.send_signal(signal.SIGKILL)
        sender.wait()
    eventually(lambda: records.extend(ear.records()) or ear.gone)
    assert {(record.kind, record.payload, record.pid) for record in records} == {
        (1, b"<" + b"x" * 5000 + b">", sender.pid)
    }
    assert [pid for pid, _ in ear.gone] == [sender.pid]
    assert ear.refused == 0


@pytest.mark.parametrize("who", [insider, stranger])
@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"x", id="too-short"),
        pytest.param(HEAD.pack(b"GET ", 1, 0) + b"/", id="another-magic"),
    ],
)
def test_what_is_not_a_record_is_refused_and_counted(
    ear: Ear, mouth: Mouth, garbage: bytes, who: Callable[[Ear], socket.socket]
):
    end = who(ear)
    end.send(framed(garbage))
    mouth.send(1, b"ours")
    assert (heard(ear), ear.refused) == ([(1, 0, b"ours")], 1)
    end.close()


@on_streams
def test_a_stream_that_announces_too_much_is_cut_off(ear: Ear, mouth: Mouth):
    """Nobody can make main keep a gigabyte for a record that never ends."""
    end = insider(ear)
    end.send(struct.pack("<I", MAX_RECORD + 1))
    mouth.send(1, b"ours")
    assert (heard(ear), ear.refused) == ([(1, 0, b"ours")], 1)
    assert end.recv(1) == b""
    end.close()


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([HEAD.pack(b"otc1", 1, 0) + b"forged"], id="nothing"),
        pytest.param([HEAD.pack(b"otc1", 0, 0), b"forged"], id="an-empty-secret"),
        pytest.param([HEAD.pack(b"otc1", 0, 0) + b"0" * 32, b"forged"], id="a-guess"),
        pytest.param([HEAD.pack(b"otc1", 0, 0) + b"0" * 100_000], id="a-long-guess"),
    ],
)
def test_whoever_does_not_know_the_secret_is_not_heard(ear: Ear, mouth: Mouth, said: list[bytes]):
    """A process of the same user may find the socket; what it says is counted as refused, once."""
    end = stranger(ear)
    for record in said:
        end.send(framed(record))
    mouth.send(1, b"ours")
    assert (heard(ear), ear.refused, list(ear.gone)) == ([(1, 0, b"ours")], 1, [])
    assert len(ear._peers) == 1
    end.close()


def test_a_stranger_who_leaves_without_a_word_is_forgotten(ear: Ear, mouth: Mouth):
    """Its end is no pool process's end."""
    end = stranger(ear)
    assert heard(ear) == []
    end.close()
    mouth.send(1, b"ours")
    assert (heard(ear), ear.refused, list(ear.gone)) == ([(1, 0, b"ours")], 0, [])
    assert (len(ear._peers), ear._strangers) == (1, set())


def test_another_user_is_refused_and_counted(
    ear: Ear, mouth: Mouth, monkeypatch: pytest.MonkeyPatch
):
    mouth.send(1, b"theirs")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: -7)
        assert (heard(ear), ear.refused) == ([], 1)


def test_the_socket_lies_in_a_directory_of_this_user_alone(ear: Ear):
    """And both are gone when main is."""
    directory = Path(ear.path).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    ear.close()
    assert not directory.exists()


def test_no_descriptor_for_a_newcomer_silences_nobody_else(
    ear: Ear, mouth: Mouth, monkeypatch: pytest.MonkeyPatch
):
    """A worker out of descriptors still hears those that it knows."""
    mouth.send(1, b"one")
    heard(ear)

    class Full:
        """A listener in a process that may open nothing more."""

        def accept(self) -> None:
            raise OSError(24, "Too many open files")

    mouth.send(1, b"two")
    with monkeypatch.context() as patch:
        patch.setattr(ear, "_listener", Full())
        assert heard(ear) == [(1, 0, b"two")]


def test_a_sender_that_never_stops_does_not_hold_main(ear: Ear, mouth: Mouth):
    """Main reads what waited when it began, then turns to the others."""
    one = b"x" * 50_000
    read = 0
    mouth.send(1, one)
    for _ in ear.records():
        read += 1
        mouth.send(1, one)  # as fast as main reads
        assert read < 1000
    assert 1 < read < 200


def test_main_is_gone(ear: Ear, mouth: Mouth):
    """A send does not wait; after a short backlog it is dropped and counted."""
    mouth.send(1, b"")
    ear.close()
    assert [mouth.send(1, b"x") for _ in range(BACKLOG + 5)] == [True] * BACKLOG + [False] * 5
    assert mouth.dropped == 5


def test_main_is_not_there_yet(kernel: bool, tmp_path: Path):
    mouth = Mouth(f"secret {tmp_path / 'nobody'}")
    assert [mouth.send(1, b"x") for _ in range(BACKLOG + 1)] == [True] * BACKLOG + [False]


def test_a_lost_connection_is_made_anew_and_the_backlog_sent(ear: Ear, mouth: Mouth):
    mouth.send(1, b"one")
    assert heard(ear) == [(1, 0, b"one")]
    for number in list(ear._peers):  # main lets go of it
        ear._forget(number)
    mouth.send(1, b"two")  # finds out, and waits
    mouth.send(1, b"three")
    assert heard(ear) == [(1, 0, b"two"), (1, 0, b"three")]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the child only closes
def test_a_forked_process_lets_go_of_what_main_listens_on(ear: Ear, mouth: Mouth):
    """Else main's end would outlive main, and a sender would speak to nobody."""
    mouth.send(1, b"one")
    heard(ear)
    child = os.fork()
    if not child:
        ear.forget_after_fork()
        open_ends = [
            number
            for number in (ear._listener.fileno(), *(peer.fileno() for peer, *_ in _peers(ear)))
            if number != -1
        ]
        os._exit(len(open_ends))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    mouth.send(1, b"two")
    assert heard(ear) == [(1, 0, b"two")]  # main's own ends live
    assert Path(ear.path).exists()


def _peers(ear: Ear) -> list[tuple[socket.socket, int, bytearray]]:
    return list(ear._peers.values())


def test_what_waits_is_sent_before_the_process_ends(ear: Ear):
    """A full buffer is waited for, for a while, when nothing else is left to do."""
    mouth = Mouth(ear.address)
    record = b"x" * 100_000
    sent = 0
    while not mouth._backlog:
        assert mouth.send(1, record)
        sent += 1
    assert not mouth.drain(0.01), "nobody listens yet"
    heard: list[int] = []
    listening = threading.Thread(
        target=lambda: eventually(
            lambda: heard.extend(one.kind for one in ear.records()) or len(heard) == sent
        )
    )
    listening.start()
    assert mouth.drain(5.0)
    listening.join(10)
    assert len(heard) == sent
    mouth.close()


@pytest.mark.parametrize("folder", ["missing", "x" * 200], ids=["read-only", "long"])
def test_no_directory_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str):
    """In a read-only container, or with a TMPDIR that is too long for a socket."""
    if folder != "missing":
        (tmp_path / folder).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
    ear = Ear()
    mouth = Mouth(ear.address)
    assert ear.path.startswith("@")
    assert mouth.send(1, b"word")
    assert [one.payload for one in ear.records()] == [b"word"]
    mouth.close()
    ear.close()
    assert [path for path in tmp_path.rglob("otel-celery-*")] == []


def test_an_offer_is_taken_at_once_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, kernel: bool, ear: Ear
):
    """What main has no room for is neither kept nor counted, and leaves the next record whole."""
    small_buffers(monkeypatch)
    mouth = Mouth(ear.address)
    taken = 0
    while mouth.offer(5, b"x" * 500):
        taken += 1
    assert 0 < taken < 10_000
    assert mouth.dropped == 0
    mouth.send(1, b"a span")
    assert mouth.offer(5, b"behind what waits") is False
    found = heard(ear)
    assert mouth.offer(5, b"now")
    found += heard(ear)
    assert [kind for kind, _, _ in found].count(5) >= taken + 1
    assert found[-2:] == [(1, 0, b"a span"), (5, 0, b"now")]
    assert {dropped for _, dropped, _ in found} == {0}
    mouth.close()


def test_an_offer_before_main_listens_is_not_taken(kernel: bool, tmp_path: Path):
    mouth = Mouth(f"secret {tmp_path / 'nobody'}")
    assert mouth.offer(5, b"x") is False
    assert mouth.dropped == 0


def test_an_offer_larger_than_a_record_may_be_is_counted(kernel: bool, ear: Ear, mouth: Mouth):
    assert mouth.offer(5, bytes(MAX_RECORD))
    mouth.lose()
    assert mouth.offer(5, b"next")
    assert heard(ear) == [(5, 2, b"next")]


def test_what_is_sent_in_the_middle_of_an_offer_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, kernel: bool, ear: Ear
):
    """A signal handler may end a span while a task's log record finds no room."""
    small_buffers(monkeypatch)
    mouth = Mouth(ear.address)
    while mouth.offer(5, b"x" * 500):
        pass
    pump, rung = mouth._pump, []

    def interrupted() -> None:
        pump()
        if not rung:
            rung.append(True)
            mouth.send(1, b"a span")

    monkeypatch.setattr(mouth, "_pump", interrupted)
    assert mouth.offer(5, b"y" * 500) is False
    found = heard(ear)
    mouth.offer(5, b"last")
    found += heard(ear)
    assert [payload for kind, _, payload in found if kind == 1] == [b"a span"]
    assert mouth.dropped == 0
    mouth.close()


def test_what_a_signal_handler_sends_while_a_record_leaves_goes_behind_it(
    kernel: bool, ear: Ear, mouth: Mouth
):
    """Each once, though the handler ran before it was known that the first had left."""

    class Interrupted:
        def __init__(self, end: socket.socket) -> None:
            self.end, self.rung = end, False

        def send(self, record: bytes, flags: int) -> int:
            size = self.end.send(record, flags)
            if not self.rung:
                self.rung = True
                mouth.send(1, b"two")
                assert mouth.offer(5, b"comes later") is False
            return size

        def close(self) -> None:
            self.end.close()

    mouth._socket = Interrupted(mouth._connect())  # type: ignore[assignment]
    mouth.send(1, b"one")
    mouth.send(1, b"three")
    assert heard(ear) == [(1, 0, b"one"), (1, 0, b"two"), (1, 0, b"three")]


def test_what_a_killed_worker_left_is_removed_by_the_next(
    kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Only directories that are no longer listened at, and not those of workers that begin."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    alive, killed, begins = Ear(), Ear(), Ear()
    for ear in (killed, begins):
        ear._listener.close()
    yesterday = time.time() - 86_400
    for ear in (alive, killed):
        os.utime(Path(ear.path).parent, (yesterday, yesterday))
    other = tmp_path / "otel-celery-of-somebody"
    other.mkdir()
    os.utime(other, (yesterday, yesterday))
    Ear().close()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {Path(ear.path).parent.name for ear in (alive, begins)} | {other.name}
    for ear in (alive, begins, killed):
        ear.close()
