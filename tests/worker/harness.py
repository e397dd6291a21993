"""A real worker with a real broker, and what it told the receiver."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.receiver import Receiver
from tests.services import ServiceMissing, missing, redis_server
from tests.waiting import eventually

HERE = Path(__file__).parent
NODE = f"w{os.getpid()}@test"
"""Of every worker here, one at a time; another run of the tests has another."""
PRODUCER, CONSUMER, INTERNAL = (
    Span.SPAN_KIND_PRODUCER,
    Span.SPAN_KIND_CONSUMER,
    Span.SPAN_KIND_INTERNAL,
)


@contextlib.contextmanager
def broker(folder: Path, *arguments: str) -> Iterator[str]:
    """Run a private Redis, or skip."""
    try:
        with redis_server(folder, *arguments) as url:
            yield url
    except ServiceMissing as why:
        missing(str(why))


def plain(attributes: Sequence[KeyValue]) -> dict[str, Any]:
    """Return OTLP attributes as a mapping."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in attributes
    }


class Seen(NamedTuple):
    """One span, with what makes it easy to find."""

    span: Span
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        return self.span.parent_span_id.hex()

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def seconds(self) -> float:
        return (self.span.end_time_unix_nano - self.span.start_time_unix_nano) / 1e9


def spans(receiver: Receiver) -> list[Seen]:
    """Return all spans, in the order in which they came."""
    return [
        Seen(
            span,
            plain(span.attributes),
            plain(by_resource.resource.attributes),
            by_scope.scope.name,
        )
        for request in receiver.traces
        for by_resource in request.resource_spans
        for by_scope in by_resource.scope_spans
        for span in by_scope.spans
    ]


def deliveries(seen: Sequence[Seen]) -> dict[str, list[Seen]]:
    """Return process spans by task id, in the order in which they began."""
    found = defaultdict(list)
    for one in seen:
        if one.span.kind == CONSUMER:
            found[one.attributes["messaging.message.id"]].append(one)
    for each in found.values():
        each.sort(key=lambda one: one.span.start_time_unix_nano)
    return found


class Point(NamedTuple):
    """The newest value of one series."""

    instance: str
    attributes: Mapping[str, Any]
    value: float  # of a histogram: its count
    total: float  # of a histogram: its sum
    exemplars: int  # ever seen


def points(receiver: Receiver, metric: str) -> list[Point]:
    """Return the newest point of each series of a metric, over all processes."""
    newest: dict[tuple[Any, ...], Point] = {}
    for request in receiver.metrics:
        for by_resource in request.resource_metrics:
            instance = plain(by_resource.resource.attributes)["service.instance.id"]
            for by_scope in by_resource.scope_metrics:
                for one in by_scope.metrics:
                    if one.name != metric:
                        continue
                    for point in getattr(one, one.WhichOneof("data") or "gauge").data_points:
                        attributes = plain(point.attributes)
                        key = (instance, *sorted(attributes.items()))
                        histogram = hasattr(point, "count")
                        earlier = newest[key].exemplars if key in newest else 0
                        newest[key] = Point(
                            instance,
                            attributes,
                            point.count if histogram else point.as_int or point.as_double,
                            point.sum if histogram else 0.0,
                            earlier + len(point.exemplars),
                        )
    return list(newest.values())


def total(receiver: Receiver, metric: str, **attributes: Any) -> float:
    """Return the sum over all series with these attributes, dots written as double underscores."""
    wanted = {key.replace("__", "."): value for key, value in attributes.items()}
    return sum(
        point.value
        for point in points(receiver, metric)
        if all(point.attributes.get(key) == value for key, value in wanted.items())
    )


def environment(url: str, receiver: Receiver, **variables: str) -> dict[str, str]:
    """Return the variables of a program that publishes or works here."""
    return {
        **os.environ,
        "CASES_BROKER": url,
        "CASES_BACKEND": url.removesuffix("/0") + "/1" if url.startswith("redis") else "",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_CELERY_QUEUE_INTERVAL": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        "PYTHONUNBUFFERED": "1",
        **variables,
    }


class Worker:
    """A worker process of the cases app."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self, how: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout)


@contextlib.contextmanager
def worker(
    folder: Path,
    environ: Mapping[str, str],
    *arguments: str,
    app: str = "shop_of_cases",
    log: Path | None = None,
) -> Iterator[Worker]:
    """Run a worker until it is ready, and see that it is gone afterwards.

    Args:
        folder: for what it prints.
        environ: its variables.
        arguments: of its command line.
        app: module of its app.
        log: where it writes its log, if not to its output.
    """
    output = folder / f"worker-{len(list(folder.iterdir()))}.log"
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO", "-n", NODE]
    with output.open("wb") as out:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=HERE,
            # The connection that declared an exchange is then the one that sends to it.
            env={**environ, "CASES_POOL_LIMIT": "1"},
            stdout=out,
            stderr=out,
        )
    running = Worker(process, log or output)

    def ready() -> bool:
        assert process.poll() is None, running.log + output.read_text()
        return " ready." in running.log

    try:
        eventually(ready, 240)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def run(environ: Mapping[str, str], script: str, *arguments: str, timeout: float = 300) -> str:
    """Run a program of this folder to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=HERE, env=dict(environ), capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def long_but(first: str, second: str, *every: str) -> list[Any]:
    """Return all values of a parameter: the first two for `make test`, the rest marked long."""
    rest = [one for one in every if one not in (first, second)]
    return [first, second, *(pytest.param(one, marks=pytest.mark.long) for one in rest)]


def keys(url: str) -> frozenset[str]:
    """Return the names of all keys in a broker's Redis."""
    with redis.Redis.from_url(url) as client:
        return frozenset(key.decode() for key in client.scan_iter())
