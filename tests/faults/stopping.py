"""Starts worker after worker and stops each at a random moment: `python stopping.py N SEED FOLDER`.

Each worker is a fork of this program, which has imported Celery but none of the app: it starts in
a fraction of the time, and from `celery -A stopping_app worker` on it is as any. What is left of
one becomes a child of this program (PR_SET_CHILD_SUBREAPER), so that nothing escapes. Prints a line
of JSON for each.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import kombu.transport.redis  # noqa: F401 - so that each worker has it
import opentelemetry.exporter.otlp.proto.http.trace_exporter
import opentelemetry.sdk.metrics  # noqa: F401 - likewise
from celery.__main__ import main as celery_main
from copies import Copies

if os.environ["WATCHED_BY"] == "ours":
    import otel_celery.bootstrap  # noqa: F401 - likewise

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 60.0  # seconds for a stop, which takes one or two
LOAD = 40  # messages that wait at each start
WORKER = ("-P", "prefork", "-c", "2", "--without-mingle", "--without-gossip", "-l", "INFO")


class Stopped(Exception):
    """The worker has ended by itself."""


class Worker:
    """One worker, as a child of this program."""

    def __init__(self, number: int, folder: Path) -> None:
        self.name, self.log = f"stop{number}@test", folder / f"stop{number}.log"
        self.code: int | None = None
        self.pid = os.fork()

    def become(self) -> None:
        """In the child: be a worker."""
        out = os.open(self.log, os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(out, stream)
        sys.argv = ["celery", "-A", "stopping_app", "worker", "-n", self.name, *WORKER]
        celery_main()

    @property
    def ready(self) -> bool:
        return self.log.exists() and " ready." in self.log.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self.ready and not self.ended and time.monotonic() < end:
            time.sleep(0.01)

    def wait_ended(self, seconds: float = PATIENCE) -> bool:
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            time.sleep(0.01)
        return self.ended

    def hit(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if not self.ended:
                os.kill(self.pid, signal.SIGTERM)


def left_over(seconds: float = 10.0) -> int:
    """Return how many processes are left of a worker after some time; they are ended then."""
    end = time.monotonic() + seconds
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if not pid:
            if time.monotonic() > end:
                break
            time.sleep(0.01)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for each in children:
        os.kill(int(each), signal.SIGKILL)
        os.waitpid(int(each), 0)
    return len(children)


def main(number: int, seed: int, folder: Path) -> Worker | None:
    """Do what the module says; returned is the worker that a child is to become."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    chance, copies = random.Random(seed), Copies(os.environ["CASES_BROKER"], "noted")
    start = 3.0
    for each in range(number):
        copies.fill(LOAD)
        when = ("load", "start", "stop")[each % 3]
        began = time.monotonic()
        worker = Worker(each, folder)
        if not worker.pid:
            return worker
        if when == "start":
            time.sleep(chance.uniform(0.0, start))
        else:
            worker.wait_ready()
            start = time.monotonic() - began
            time.sleep(chance.uniform(0.0, 1.0))
        hit = time.monotonic()
        worker.hit()
        if when == "stop":
            time.sleep(chance.uniform(0.0, 0.3))
            worker.hit()
        hung = not worker.wait_ended()
        if hung:
            os.kill(worker.pid, signal.SIGUSR1)  # it says where
            worker.wait_ended(1)
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait_ended()
        took = time.monotonic() - hit
        told = {"name": worker.name, "when": when, "hung": hung, "code": worker.code}
        print(json.dumps({**told, "seconds": took, "left": left_over()}), flush=True)
    return None


if __name__ == "__main__":
    child = main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    if child is not None:
        child.become()
