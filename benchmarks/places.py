"""What runs for each task in one place: a publisher, a worker's main, or a pool process?

Run as a program, in the virtualenv of a side, it does that many times over, with a mark after each
piece of work, so that neither the start of the process nor what prepares a round is in any figure.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import sys
import time
from typing import Any

from celery import Celery
from celery.app.trace import fast_trace_task
from celery.concurrency.prefork import process_initializer

from benchmarks.marks import Marks
from benchmarks.sides import SIDES

HOST = "worker@bench"
WARM = 30  # operations before the first that counts


class Place:
    """One place; `prepare` makes ready what `run` then uses up."""

    def __init__(self, app: Celery) -> None:
        self.app, self.noop = app, app.tasks["bench.noop"]

    def prepare(self, number: int) -> None:
        """Make ready for a round."""

    def run(self, number: int) -> None:
        """Do what is counted, once for each task."""
        raise NotImplementedError


class Publish(Place):
    """The caller's way through `apply_async`, with the in-memory transport below."""

    def prepare(self, number: int) -> None:
        with self.app.connection_for_write() as connection:
            connection.default_channel.queue_purge("celery")

    def run(self, number: int) -> None:
        for _ in range(number):
            self.noop.apply_async()


class Pool:
    """Takes a job as a prefork pool does, and says at once that it began and returned."""

    num_processes = 1

    def __init__(self) -> None:
        self.last: tuple[Any, ...] = ()

    def apply_async(
        self, target: Any, args: Any, accept_callback: Any, callback: Any, **_: Any
    ) -> None:
        self.last = args
        accept_callback(os.getpid(), time.monotonic())
        callback((0, "None", 0.001))


class Main(Place):
    """The event loop's way: a message becomes a request, goes to the pool, begins, and returns."""

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self.noop.apply_async()
        with app.connection_for_read() as connection:
            queue = connection.default_channel.basic_get("celery")
            assert queue is not None
            self._message = queue
        worker = app.Worker(
            hostname=HOST, pool="prefork", concurrency=1, loglevel="WARNING",
            without_gossip=True, without_mingle=True, redirect_stdouts=False, quiet=True,
        )  # fmt: skip
        self.pool = worker.pool = worker.consumer.pool = Pool()
        if app.conf.worker_send_task_events:
            worker.consumer.event_dispatcher = app.events.Dispatcher(
                app.connection_for_write(), hostname=HOST, buffer_group=["task"]
            )
        worker.consumer.update_strategies()
        self._take = worker.consumer.strategies["bench.noop"]
        self._messages: list[Any] = []

    def prepare(self, number: int) -> None:
        self._messages = [copy.copy(self._message) for _ in range(number)]
        for message in self._messages:
            message.headers = copy.deepcopy(self._message.headers)
            message.delivery_info = copy.deepcopy(self._message.delivery_info)

    def run(self, number: int) -> None:
        take = self._take
        for message in self._messages:
            take(message, None, _ignore, _ignore, ())


class PoolProcess(Main):
    """What runs in a pool process for each job, in a real fork of a worker's main."""

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self.prepare(1)
        super().run(1)
        task, id, request, *self._rest = self.pool.last
        self._job = task, id
        self._request = request
        self._requests: list[Any] = []

    def prepare(self, number: int) -> None:
        if not hasattr(self, "_request"):
            super().prepare(number)
        else:
            self._requests = [copy.deepcopy(self._request) for _ in range(number)]

    def run(self, number: int) -> None:
        task, id = self._job
        body, kind, encoding = self._rest
        for request in self._requests:
            fast_trace_task(task, id, request, body, kind, encoding)


PLACES: dict[str, type[Place]] = {"publish": Publish, "main": Main, "pool": PoolProcess}


def measure(side: str, place: str, tasks: int, rounds: int) -> list[tuple[str, int, int]]:
    """Return the pieces of work in their order, with the CPU time of thread and process, ns."""
    os.environ["BENCH_ROLE"] = "publisher" if place == "publish" else "worker"
    app = Celery("bench", broker="memory://")
    app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)
    app.task(name="bench.noop")(_ignore)
    app.finalize()
    watcher = SIDES[side](app)
    here = PLACES[place](app)
    if place == "pool":
        if child := os.fork():
            os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        process_initializer(app, HOST)
    for number in (WARM, WARM, tasks):
        here.prepare(number)
        here.run(number)
        watcher.hold()
        watcher.tell()
    here.prepare(tasks)
    gc.collect()
    gc.freeze()  # what a side keeps from its start is not looked through for each task
    mark = Marks()
    for _ in range(rounds):
        here.run(tasks)
        mark("hot")
        watcher.tell()
        mark("background")
        here.prepare(tasks)
        gc.collect()
        mark("")
    return mark.seen


def _ignore(*_: Any, **__: Any) -> None:
    """Do nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("place", choices=PLACES)
    parser.add_argument("tasks", type=int)
    parser.add_argument("rounds", type=int)
    chosen = parser.parse_args()
    json.dump(measure(**vars(chosen)), sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
