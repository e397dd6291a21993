"""A worker under all faults at once: what is done to it, and until when?"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psutil
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from tests.faults import ledger_plan as plan
from tests.faults import sides
from tests.faults.books import Books, Tail
from tests.faults.ledger_judge import totals
from tests.faults.sides import OURS, Side
from tests.faults.sink import Kept
from tests.services import HOST, free_port, rabbitmq_server, redis_service, running
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.cable import cable

WORKER = (
    "--without-mingle", "--without-gossip", "-P", "prefork", "-c", "4",
    "--max-tasks-per-child", "100",
)  # fmt: skip


FAULTS = {
    "kill": "pool processes killed from outside",
    "broker": "broker connections ended",
    "collector": "Collector gone",
    "warm": "warm stops",
    "cold": "cold stops",
    "own": "workers that kombu ended",
}
KOMBUS = "Unrecoverable error: AttributeError(\"'NoneType' object has no attribute 'hostname'\")"
"""How a main ends, now and then, whose Redis goes away while it gives messages back."""


class Broker(Protocol):
    """One that a run may disturb."""

    url: str

    def restart(self, seconds: float) -> None:
        """Have all connections end."""

    def empty(self) -> bool:
        """Does no message wait?"""

    def close(self) -> None: ...


class Redis:
    """A Redis that writes down all it is told, and may be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self._service = redis_service(folder, "--appendonly", "yes")
        self._service.start()
        self.url = self._service.url

    def restart(self, seconds: float) -> None:
        """Be away for that long."""
        self._service.stop()
        time.sleep(seconds)  # no waiting for anything
        self._service.start()

    def close(self) -> None:
        self._service.stop()

    def empty(self) -> bool:
        with redis.Redis.from_url(self.url) as broker:
            return not broker.llen("celery") and not broker.hlen("unacked")


class RabbitMQ:
    """A RabbitMQ at the other end of a cable that is cut now and then."""

    def __init__(self, folder: Path) -> None:
        self._running = contextlib.ExitStack()
        folder = folder / "rabbitmq"
        folder.mkdir()
        far = self._running.enter_context(rabbitmq_server(folder))
        port = urlsplit(far).port
        assert port is not None
        self._cable = self._running.enter_context(cable(port))
        self._far = Celery(broker=far, set_as_current=False)
        self.url = far.replace(f":{port}", f":{self._cable.port}")

    def restart(self, seconds: float) -> None:
        """Cut all connections; the broker then takes back what was not acknowledged."""
        self._cable.cut()

    def close(self) -> None:
        self._running.close()

    def empty(self) -> bool:
        with self._far.connection_for_read() as connection:
            told = connection.default_channel.queue_declare("celery", passive=True)
            return not told.message_count


class Sink:
    """A receiver that may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._running = contextlib.ExitStack()
        self.url = f"http://{HOST}:{self._port}"
        self.file = folder / "received"
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(sides.HERE / "sink.py"), str(self._port), str(self.file)]
        environ = os.environ | {"PYTHONPATH": str(sides.HERE.parents[1])}
        self._process = self._running.enter_context(
            running(command, self._folder / "sink.log", environ)
        )

    def stop(self) -> None:
        self._process.kill()
        self._running.close()


class Run:
    """One run of the plan, from the first message to a worker that has nothing more to do.

    Args:
        folder: for logs, books and what was received.
        broker: makes one.
        side: who watches.
        seed: of all that is random.
        number: of messages.
        kinds: of faults, with how often each happens in 1,000 messages.
    """

    def __init__(
        self,
        folder: Path,
        broker: Callable[[Path], Broker],
        side: Side,
        seed: int,
        number: int,
        kinds: Mapping[str, float],
    ) -> None:
        self._folder, self._side, self._seed, self._number = folder, side, seed, number
        self._rng = random.Random(f"moments of {seed}")
        self._faults = plan.faults(seed, number, kinds)
        self._worker: harness.Worker
        self._workers = contextlib.ExitStack()
        self.broker, self.sink = broker(folder), Sink(folder)
        self._environ = sides.environment(
            side, self.broker.url, self.sink,
            BOOKS=str(folder / "books"), OTEL_CELERY_FLUSH_TIMEOUT="30",
        )  # fmt: skip
        (folder / "books").touch()
        self._tail = Tail(folder / "books")
        self._kinds: dict[str, str] = {}
        self._received: set[str] = set()
        self._to_revoke: dict[str, bool] = {}  # whether it runs and is to be ended
        self._asked: set[str] = set()
        self._revoked_at = 0.0
        self._done: Counter[str] = Counter()

    def __call__(self) -> None:
        """Send everything, do everything, wait until nothing is left, and stop."""
        with (
            contextlib.closing(self), self._workers,
            Celery(broker=self.broker.url, set_as_current=False) as self._control,
        ):  # fmt: skip
            self._start()
            with self._publisher() as publisher:
                for fault in self._faults:
                    self._until(partial(self._has_come, fault.after))
                    self._done[fault.kind] += 1
                    getattr(self, f"_{fault.kind}")()
                self._until(lambda: publisher.poll() is not None)
                assert publisher.returncode == 0
            while True:
                self._until(self.broker.empty)
                if self._side == OURS:
                    self._come_to_rest()
                self._stop()
                if self.broker.empty():
                    return
                self._start()  # something came back

    def _come_to_rest(self) -> None:
        with self._hang_told():
            eventually(self._at_rest, 60, 1)

    def _stop(self, how: int = signal.SIGTERM) -> None:
        with self._hang_told():
            self._worker.stop(how, timeout=90)

    @contextlib.contextmanager
    def _hang_told(self) -> Iterator[None]:
        """Have each process of a worker that is too slow say where it hangs."""
        try:
            yield
        except (AssertionError, subprocess.TimeoutExpired) as why:
            main = psutil.Process(self._worker.process.pid)
            for process in (main, *main.children()):
                process.send_signal(signal.SIGUSR2)
            eventually(lambda: "most recent call first" in self._worker.log, 30)
            raise AssertionError(f"{why}\n{self._worker.log[-20_000:]}") from None

    def _has_come(self, share: float) -> bool:
        return len(self._received) >= share * self._number

    def _at_rest(self) -> None:
        """Has the worker nothing more at hand, by its own gauge?"""
        assert (left := totals(Kept(self.sink.file)).left[-1:]) == [""], left

    def close(self) -> None:
        self.sink.stop()
        self.broker.close()

    @property
    def injected(self) -> str:
        return ", ".join(f"{FAULTS[kind]} {number}" for kind, number in self._done.most_common())

    @property
    def told(self) -> tuple[Books, Kept]:
        return Books(self._folder / "books"), Kept(self.sink.file)

    def _until(self, check: Callable[[], bool], seconds: float = 600) -> None:
        def turn() -> bool:
            self._read_on()
            if self._worker.process.poll() is not None:
                assert KOMBUS in self._worker.log, self._worker.log[-20_000:]
                self._done["own"] += 1
                self._start()
            return check()

        eventually(turn, seconds)

    def _read_on(self) -> None:
        for word, *said in self._tail():
            if word == "planned":
                self._kinds[said[0]] = said[1]
            elif word == "received":
                self._received.add(said[1])
                if self._kinds.get(said[1]) == "revoked":
                    self._to_revoke[said[1]] = False
            elif word == "begin" and self._kinds.get(said[0]) == "long":
                self._to_revoke[said[0]] = True
        if self._to_revoke and time.monotonic() > self._revoked_at + 0.5:
            self._revoked_at = time.monotonic()
            self._revoke_all()

    def _revoke_all(self) -> None:
        """Ask twice for each: a worker that has lost its connection hears of nothing."""
        with self._control.connection_for_write() as connection:
            for task_id, running in list(self._to_revoke.items()):
                try:
                    self._control.control.revoke(task_id, terminate=running, connection=connection)
                except (OSError, OperationalError, *connection.recoverable_connection_errors):
                    return
                if task_id in self._asked:
                    del self._to_revoke[task_id]
                self._asked.add(task_id)

    @contextlib.contextmanager
    def _publisher(self) -> Iterator[subprocess.Popen[bytes]]:
        script = [str(sides.HERE / "ledger_send.py"), str(self._seed), str(self._number)]
        with running([sys.executable, *script], self._folder / "sends", self._environ) as process:
            yield process

    def _start(self) -> None:
        self._worker = self._workers.enter_context(
            sides.worker(self._folder, self._environ, *WORKER, app="ledger_app")
        )

    def _kill(self) -> None:
        """End a pool process, whatever it does."""
        children = psutil.Process(self._worker.process.pid).children()
        if children:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._rng.choice(children).kill()

    def _broker(self) -> None:
        self.broker.restart(self._rng.uniform(0.1, 1.5))

    def _collector(self) -> None:
        self.sink.stop()
        self._until(self._after(self._rng.uniform(0.5, 4)))
        self.sink.start()

    def _warm(self) -> None:
        self._stop()
        self._start()

    def _cold(self) -> None:
        # Celery handles the signal where it comes. In the middle of handing a job to a process it
        # would wait for ever for that process, with us or without: so the hand-over ends first.
        before = self._worker.log.count("Warm shutdown")
        self._worker.process.send_signal(signal.SIGTERM)
        self._until(lambda: self._worker.log.count("Warm shutdown") > before)
        self._stop(signal.SIGQUIT)
        self._start()

    @staticmethod
    def _after(seconds: float) -> Callable[[], bool]:
        end = time.monotonic() + seconds
        return lambda: time.monotonic() > end
