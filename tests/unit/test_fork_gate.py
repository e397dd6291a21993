"""What must no thread be in the middle of while a pool process is forked?"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_celery.exporter import Exporter
from otel_celery.fork_gate import ForkGate
from otel_celery.guard import Guard
from otel_celery.settings import Settings
from tests.waiting import eventually


class Resolver:
    """Stands in for the C library; it is slow until it is released."""

    def __init__(self) -> None:
        self.inside, self.released = threading.Event(), threading.Event()

    def __call__(self, *args: Any, **options: Any) -> tuple[Any, ...]:
        self.inside.set()
        self.released.wait(30)
        return args


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.released.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def opened(patience: float) -> ForkGate:
    gate = ForkGate(patience)
    gate.install()
    gate.install()
    return gate


def test_a_fork_waits_until_nobody_resolves(resolver: Resolver, threads: ThreadPoolExecutor):
    gate = opened(30)
    resolving = threads.submit(socket.getaddrinfo, "collector", 4318)
    assert resolver.inside.wait(30)
    forking = threads.submit(gate.before_fork)
    eventually(lambda: gate._forking)
    assert not forking.done()
    resolver.released.set()
    forking.result(30)
    assert resolving.result(30) == ("collector", 4318)


def test_a_fork_waits_for_an_exporter_of_the_sdk(
    monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
):
    """gRPC aborts a child that was forked while a thread of its parent was in it."""
    gate, inside, released = ForkGate(30), threading.Event(), threading.Event()

    class Slow(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            inside.set()
            assert released.wait(30)
            return SpanExportResult.SUCCESS

    monkeypatch.setattr("otel_celery.sdk.traces.load_exporter", lambda *_: Slow)
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)  # none is set
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    exporter = Exporter(Settings(), Guard(), "me", "web", {}, gate=gate)
    exporter.lane.put_encoded(b"", 1)
    exporting = threads.submit(exporter.lane.export, math.inf)
    assert inside.wait(30)
    forking = threads.submit(gate.before_fork)
    eventually(lambda: gate._forking)
    assert not forking.done()
    released.set()
    forking.result(30)
    exporting.result(30)
    exporter.metering.close()


def test_nobody_begins_to_resolve_while_a_fork_is_under_way(
    resolver: Resolver, threads: ThreadPoolExecutor
):
    gate = opened(30)
    gate.before_fork()
    resolving = threads.submit(socket.getaddrinfo, "collector", 4318)
    assert not resolver.inside.wait(0.05)
    gate.after_fork()
    assert resolver.inside.wait(30)
    resolver.released.set()
    resolving.result(30)


def test_a_slow_name_server_holds_up_a_fork_for_a_moment_only(
    resolver: Resolver, threads: ThreadPoolExecutor
):
    gate = opened(0.01)
    threads.submit(socket.getaddrinfo, "collector", 4318)
    assert resolver.inside.wait(30)
    began = time.monotonic()
    gate.before_fork()
    assert time.monotonic() - began < 10
    resolver.released.set()


def test_a_child_has_nothing_of_it(resolver: Resolver):
    """What another thread of the parent held at the fork is held by nobody."""
    gate = opened(30)
    gate._changed.acquire()
    gate._inside = 1
    gate.after_fork_in_child()
    assert socket.getaddrinfo is resolver
    gate.before_fork()
    gate.after_fork()


def test_what_somebody_else_has_wrapped_since_stays(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
):
    gate = opened(30)
    wrapped = socket.getaddrinfo

    def theirs(*args: Any) -> Any:
        return wrapped(*args)

    monkeypatch.setattr(socket, "getaddrinfo", theirs)
    gate.remove()
    assert socket.getaddrinfo is theirs
    resolver.released.set()
    assert socket.getaddrinfo("collector") == ("collector",)
