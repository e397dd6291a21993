"""Canvases of every kind; as a program, it sends them: `python canvas_app.py nested|group NUMBER`.

Every publish and every start of a task is noted in a Redis, by signals of Celery's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import redis
from celery import chain, chord, group, signals
from celery.result import GroupResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from watched_app import app, quick

NOTED = redis.Redis.from_url(os.environ["CASES_BACKEND"])


@app.task(name="add", ignore_result=False)  # type: ignore[untyped-decorator]
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="total", ignore_result=False)  # type: ignore[untyped-decorator]
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="replaced", bind=True, ignore_result=False)  # type: ignore[untyped-decorator]
def replaced(self: Any, x: int) -> Any:
    raise self.replace(chain(add.s(x, x), add.s(1)))


@app.task(name="breaks", ignore_result=False)  # type: ignore[untyped-decorator]
def breaks() -> None:
    raise ValueError("no")


@app.task(name="told")  # type: ignore[untyped-decorator]
def told(*_: Any) -> None:
    """Be called back."""


@app.task(name="told_of")  # type: ignore[untyped-decorator]
def told_of(id_: str) -> None:
    """Be called back with the id of a task that failed: by a message, as it takes no more."""


@app.task(name="stamped", bind=True, ignore_result=False)  # type: ignore[untyped-decorator]
def stamped(self: Any) -> Any:
    return [self.request.stamped_headers, self.request.stamps]


def _stamped() -> Any:
    made = group(stamped.s(), stamped.s())
    made.stamp(order="4711", stamped_headers=["order"])
    return made


NESTED: dict[str, Callable[[], Any]] = {
    "chain of chords": lambda: chain(
        add.s(1, 2), group(add.s(3), add.s(4)), total.s(), group(add.s(1), add.s(2)), total.s()
    ),
    "chord in a chord": lambda: chord(
        [add.s(1, 1), chord([add.s(2, 2), add.s(3, 3)], total.s())], total.s()
    ),
    "callbacks": lambda: add.s(1, 2).set(link=[told.s(), told.s()]),
    "error callbacks": lambda: breaks.s().set(link_error=[told_of.s(), told_of.s()]),
    "chord that breaks": lambda: chord([add.s(1, 1), breaks.s()], total.s().on_error(told_of.s())),
    "replaced": lambda: chain(replaced.s(5), add.s(2)),
    "replaced in a chord": lambda: chord([replaced.s(1), add.s(1, 1)], total.s()),
    "stamped": _stamped,
}


def _results(of: Any) -> list[Any]:
    return list(of.children) if isinstance(of, GroupResult) else [of]


def note_publishes() -> None:
    @signals.after_task_publish.connect(weak=False)  # type: ignore[untyped-decorator]
    def published(headers: Any = None, **_: Any) -> None:
        NOTED.rpush("published", headers["id"])

    @signals.task_prerun.connect(weak=False)  # type: ignore[untyped-decorator]
    def began(task_id: str, **_: Any) -> None:
        NOTED.rpush("began", task_id)


if os.environ.get("NOTE_PUBLISHES"):
    note_publishes()

if __name__ == "__main__":
    if sys.argv[1] == "nested":
        sent = {}
        for number, (name, make) in enumerate(NESTED.items(), 1):
            caller = SpanContext(number << 64, 1, True, TraceFlags(TraceFlags.SAMPLED))
            with use_span(NonRecordingSpan(caller)):
                sent[name] = make().apply_async()
        print(json.dumps({name: [one.id for one in _results(of)] for name, of in sent.items()}))
    else:
        members = group([quick.s() for _ in range(int(sys.argv[2]))])
        begin = time.process_time()
        with use_span(NonRecordingSpan(SpanContext(1 << 64, 1, True, TraceFlags(1)))):
            sent = members.apply_async()
        spent = time.process_time() - begin
        print(json.dumps({"seconds": spent, "ids": [child.id for child in sent.children]}))
