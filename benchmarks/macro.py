"""What do a real worker and a real Redis spend on tasks that do nothing?"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import redis
from celery import Celery
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks import processes
from benchmarks.peers import SIDES, environment, python_of
from benchmarks.sink import Sink, sinking
from tests.services import free_port, redis_server

NODE = "bench@here"
WARM = 200


class Load(NamedTuple):
    """One run of a worker.

    Attributes:
        tasks: that are published while the worker does not consume, and then run.
        concurrency: pool processes.
        names: distinct tasks.
        spans: of the user's own in each task.
        down: nobody listens where telemetry is sent.
        settle: seconds for what is sent late, before the worker is stopped.
    """

    tasks: int = 10_000
    concurrency: int = 2
    names: int = 1
    spans: int = 0
    down: bool = False
    settle: float = 7.0


def run(side: str, load: Load) -> dict[str, Any]:
    """Return what one run took: CPU in microseconds a task, memory in bytes."""
    with tempfile.TemporaryDirectory() as name, sinking() as sink, redis_server(Path(name)) as url:
        folder, ready = Path(name), Path(name) / "ready"
        environ = environment(
            side,
            f"http://127.0.0.1:{free_port()}" if load.down else sink.url,
            BENCH_BROKER=url,
            BENCH_READY=str(ready),
            BENCH_NAMES=str(load.names),
        )
        with contextlib.ExitStack() as block:
            broker = block.enter_context(redis.Redis.from_url(url))
            if side == "events":
                block.enter_context(_flower(environ, folder))
            main = block.enter_context(_worker(side, load, environ, folder))
            eventually(ready.exists, 240)
            return _measured(side, load, environ, broker, main, sink)


def _measured(
    side: str,
    load: Load,
    environ: Mapping[str, str],
    broker: redis.Redis,
    main: psutil.Process,
    sink: Sink,
) -> dict[str, Any]:
    server = psutil.Process(broker.info("server")["process_id"])
    publisher = {**environ, "BENCH_ROLE": "publisher"}
    _publish(side, publisher, WARM, load.spans)
    eventually(lambda: _idle(broker), 120)
    _consume(environ["BENCH_BROKER"], "cancel_consumer")
    time.sleep(load.settle)  # for what is sent late
    sent_before = sink.sent()
    redis_before = processes.cpu(server)
    told, publisher_cpu = _publish(side, publisher, load.tasks, load.spans)
    redis_published = processes.cpu(server)
    size = len(broker.lindex("celery", 0) or b"")
    pool = processes.children(main)
    before = processes.cpu(main), sum(map(processes.cpu, pool))
    began = time.monotonic()
    _consume(environ["BENCH_BROKER"], "add_consumer")
    eventually(lambda: _idle(broker), 600)
    seconds = time.monotonic() - began
    time.sleep(load.settle)
    after = processes.cpu(main), sum(map(processes.cpu, pool))
    redis_after = processes.cpu(server)
    used = processes.memory(main.pid), [processes.memory(child.pid) for child in pool]
    main.send_signal(signal.SIGTERM)
    code = main.wait(60)
    due = WARM + load.tasks + 2  # and the first message of each publisher
    each = 1e6 / load.tasks
    return {
        "publisher": (publisher_cpu - told["before"]) * each,
        "main": (after[0] - before[0]) * each,
        "children": (after[1] - before[1]) * each,
        "redis_publish": (redis_published - redis_before) * each,
        "redis_consume": (redis_after - redis_published) * each,
        "tasks_per_second": load.tasks / seconds,
        "exit_code": code,
        "message_bytes": size,
        "wire_bytes": (sink.sent() - sent_before) / load.tasks,
        "spans_due": 2 * due if SIDES[side].otlp and not load.down else None,
        "spans_delivered": _delivered(side, load, sink),
        "main_pss": used[0].pss,
        "main_rss": used[0].rss,
        "child_pss": sum(one.pss for one in used[1]) / len(pool),
        "child_rss": sum(one.rss for one in used[1]) / len(pool),
    }


def _delivered(side: str, load: Load, sink: Sink) -> int | None:
    if not SIDES[side].otlp or load.down:
        return None
    return sink.otlp_spans(Span.SPAN_KIND_PRODUCER) + sink.otlp_spans(Span.SPAN_KIND_CONSUMER)


def _publish(
    side: str, environ: Mapping[str, str], tasks: int, spans: int
) -> tuple[dict[str, float], float]:
    command = [str(python_of(side)), "-m", "benchmarks.app", str(tasks), str(spans)]
    printed, used = processes.run(command, environ, 600)
    return json.loads(printed), used


def _consume(broker_url: str, order: str) -> None:
    """Have the worker begin or cease to consume; return when it says that it has."""
    with Celery(broker=broker_url, set_as_current=False) as app:
        said = app.control.broadcast(
            order, {"queue": "celery"}, destination=[NODE], reply=True, timeout=30
        )
    if not said:
        raise TimeoutError(f"the worker did not answer {order}")


def _idle(broker: redis.Redis) -> bool:
    return not broker.llen("celery") and not broker.hlen("unacked")


@contextlib.contextmanager
def _worker(
    side: str, load: Load, environ: Mapping[str, str], folder: Path
) -> Iterator[psutil.Process]:
    arguments = ["-c", str(load.concurrency), "-n", NODE, "-l", "WARNING", "--without-mingle"]
    if side == "events":
        arguments.append("-E")
    with _program(
        [str(python_of(side)), "-m", "celery", "-A", "benchmarks.app", "worker", *arguments],
        {**environ, "BENCH_ROLE": "worker"},
        folder / "worker.log",
    ) as process:
        yield psutil.Process(process.pid)


@contextlib.contextmanager
def _flower(environ: Mapping[str, str], folder: Path) -> Iterator[None]:
    flower = [str(python_of("events")), "-m", "celery", "-b", environ["BENCH_BROKER"], "flower"]
    with _program(
        [*flower, "--address=127.0.0.1", f"--port={free_port()}"], environ, folder / "flower.log"
    ):
        yield


@contextlib.contextmanager
def _program(
    command: list[str], environ: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=dict(environ), stdout=out, stderr=out)
    try:
        yield process
    except BaseException as why:
        why.args = (*why.args, log.read_text(errors="replace")[-2000:])
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def eventually(true: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it did not within that time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {true}")
        time.sleep(0.02)
