"""Leaves our threads out of what t/unit holds each test to. A plugin for pytest, for t/unit alone.

Its conftest compares the threads after each test with those before the first. The first publish of
a process starts three threads of ours that stay, so every test after it would be called careless.
The same conftest leaves out those of pytest-timeout. A third thread of ours is left in, and fails
the test.
"""

from __future__ import annotations

import sys
import threading

OURS = 3  # the speaker, the courier, and the one for metrics and queues


def others(threads: list[threading.Thread]) -> list[threading.Thread]:
    rest = [thread for thread in threads if not thread.name.startswith("otel-celery")]
    return rest if len(threads) - len(rest) <= OURS else threads


def pytest_collection_finish() -> None:
    conftest = sys.modules["t.unit.conftest"]
    alive_threads = conftest.alive_threads
    conftest.alive_threads = lambda: others(alive_threads())
