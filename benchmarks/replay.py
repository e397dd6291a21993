"""How do as many workers as one likes send to one Collector, from one process?"""

from __future__ import annotations

import http.client
import math
import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.double import Double, Pattern
from benchmarks.recording import Recording

INTERVAL = 15.0
"""Seconds between two requests with metrics, as a worker has them unless told."""

THREADS = 32


class Plan(NamedTuple):
    """What is sent.

    Attributes:
        url: of the Collector.
        workers: how many.
        every: seconds between two requests with spans of one worker; 0: it sends none.
        seconds: for how long.
        at_once: all send their metrics in the same moment, as they would without jitter.
    """

    url: str
    workers: int
    every: float
    seconds: float
    at_once: bool = False


class _Stream:
    """One connection of a worker, which it keeps, and when it sends on it next."""

    def __init__(
        self,
        url: str,
        path: str,
        every: float,
        due: float,
        body: Callable[[int], tuple[bytes, int]],
    ) -> None:
        host = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(host.hostname), host.port, timeout=60)
        self._path, self._body = path, body
        self.every, self.due = every, due

    def send(self) -> tuple[bool, int, int]:
        """Return whether it was taken, the items, and the bytes."""
        body, items = self._body(time.time_ns())
        self._connection.request(
            "POST", self._path, body, {"Content-Type": "application/x-protobuf"}
        )
        with self._connection.getresponse() as answer:
            answer.read()
            return answer.status == 200, items, len(body)

    def close(self) -> None:
        self._connection.close()


def replay(recording: Recording, plan: Plan) -> dict[str, Any]:
    """Send as so many workers; return what was sent, and how long it took until it was taken."""
    pattern, drawn = Pattern(recording), random.Random(1)
    began = time.monotonic()
    lots: list[list[_Stream]] = [[] for _ in range(THREADS)]
    for number in range(plan.workers):
        double = Double(pattern, number)
        first = 0.0 if plan.at_once else drawn.random() * INTERVAL
        lot = lots[number % THREADS]
        lot.append(_Stream(plan.url, "/v1/metrics", INTERVAL, began + first, double.metrics))
        if plan.every:
            first = drawn.random() * plan.every
            lot.append(_Stream(plan.url, "/v1/traces", plan.every, began + first, double.traces))
    told: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=_run, args=(lot, began + plan.seconds, told)) for lot in lots if lot
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(told) < len(threads):
        raise RuntimeError("a thread of the replayer failed; see above")
    late = sorted(one for each in told for one in each["late"])
    sums = {name: sum(each[name] for each in told) for name in told[0] if name != "late"}
    return {
        **sums,
        "replayer_cpu": time.process_time(),
        "taken_after_median": late[len(late) // 2],
        "taken_after_p99": late[math.ceil(len(late) * 0.99) - 1],
        "taken_after_max": late[-1],
    }


def _run(lot: list[_Stream], end: float, told: list[dict[str, Any]]) -> None:
    sums: dict[str, Any] = {"requests": 0, "refused": 0, "points": 0, "spans": 0, "bytes": 0}
    late: list[float] = []
    while (stream := min(lot, key=lambda one: one.due)).due < end:
        time.sleep(max(stream.due - time.monotonic(), 0))
        taken, items, size = stream.send()
        late.append(time.monotonic() - stream.due)
        sums["requests"] += 1
        sums["refused"] += not taken
        sums["points" if stream.every == INTERVAL else "spans"] += items
        sums["bytes"] += size
        stream.due += stream.every
    for stream in lot:
        stream.close()
    told.append({**sums, "late": late})
