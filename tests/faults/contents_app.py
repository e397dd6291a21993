"""Tasks that are given, return or raise what is odd; as a program, it sends them.

`python contents_app.py '[[task, [argument, ...], {option: value}], ...]'` prints the ids.
An argument `{"times": 5}` stands for xxxxx.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import clock  # noqa: F401 - before all that reads the time
import redis
from opentelemetry import baggage
from watched_app import app

app.conf.update(
    accept_content=os.environ.get("ACCEPT", "json").split(),
    task_protocol=int(os.environ.get("PROTOCOL", "2")),
    task_send_sent_event=False,
)


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Wordless(Exception):
    def __str__(self) -> Any:
        return 7


class Faceless(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no face")


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class OneWay(Exception):
    """Can be pickled, and not be read again."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def _local() -> Exception:
    class Local(Exception):
        pass

    return Local("of a class that nobody else knows")


def _deep() -> Exception:
    return _deep()


def _caused() -> Exception:
    found = ValueError("0")
    for number in range(1, 300):
        further = ValueError(str(number))
        further.__cause__ = found
        found = further
    return found


ODD: dict[str, Callable[[], Exception]] = {
    "10 MB of text": lambda: ValueError("x" * 10_000_000),
    "wide characters": lambda: ValueError("né ☃ 🎉 \u202e \u0300" * 10_000),
    "binary": lambda: ValueError(bytes(range(256)) * 1000),
    "NUL": lambda: ValueError("a\0b"),
    "lone surrogates": lambda: ValueError("\ud800 and \udfff"),
    "str() raises": lambda: Speechless(1),
    "str() gives no text": lambda: Wordless(2),
    "repr() raises": lambda: Faceless(3),
    "no pickle": Locked,
    "pickled one way": lambda: OneWay("a", "b"),
    "local class": _local,
    "recursion": _deep,
    "300 causes": _caused,
}


@app.task(name="odd", ignore_result=False)  # type: ignore[untyped-decorator]
def odd(kind: str) -> None:
    raise ODD[kind]()


@app.task(name="returns", ignore_result=False)  # type: ignore[untyped-decorator]
def returns(size: int, *_: str) -> str:
    return "x" * size


@app.task(name="carried", bind=True, ignore_result=False)  # type: ignore[untyped-decorator]
def carried(self: Any, *_: Any, **__: Any) -> dict[str, Any]:
    """Return the baggage and the headers that came along."""
    return {"baggage": dict(baggage.get_all()), "headers": self.request.headers}


@app.task(name="lasts", bind=True)  # type: ignore[untyped-decorator]
def lasts(self: Any, seconds: float) -> None:
    """Take that long, by a clock that nobody sets, and say so in the broker."""
    with redis.Redis.from_url(os.environ["CASES_BROKER"]) as broker:
        broker.sadd("begun", self.request.id)
        time.sleep(seconds)
        broker.sadd("ended", self.request.id)


@app.task(name="retries", bind=True, acks_late=True)  # type: ignore[untyped-decorator]
def retries(self: Any, times: int) -> None:
    """Note the size of the own message, as the broker holds it, and try again."""
    with redis.Redis.from_url(os.environ["CASES_BROKER"]) as broker:
        held = [one for one in broker.hvals("unacked") if self.request.id.encode() in one]
        broker.rpush("sizes", *map(len, held))
    if self.request.retries < times:
        raise self.retry(countdown=0, max_retries=times)


if __name__ == "__main__":
    for name, given, options in json.loads(sys.argv[1]):
        args = ["x" * one["times"] if isinstance(one, dict) else one for one in given]
        print(app.send_task(name, args, **{"ignore_result": False, **options}).id)
