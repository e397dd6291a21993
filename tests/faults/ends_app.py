"""The app of processes that end: each run of a task notes in Redis that it began, and its end.

That is what telemetry is held against: it does not come from telemetry.
"""

from __future__ import annotations

import os
import resource
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import redis
from billiard import Process
from celery.exceptions import Ignore, Reject
from opentelemetry import trace
from watched_app import app, tracer

app.conf.worker_soft_shutdown_timeout = float(os.environ.get("SOFT_SHUTDOWN", "0"))
app.conf.broker_transport_options = {
    "visibility_timeout": float(os.environ.get("VISIBILITY", "3600")),
    "unacked_restore_interval": 0.1,
}
if os.environ.get("START_METHOD"):
    app.conf.worker_pool_start_method = os.environ["START_METHOD"]
if os.environ.get("EACH_SECOND"):
    app.conf.beat_schedule = {"each second": {"task": "run", "schedule": 1.0}}

truth = redis.Redis.from_url(os.environ["CASES_BACKEND"])
kept: list[bytearray] = []
MEGABYTE = 1 << 20


def body(task: Any, how: str = "returns", amount: float = 0) -> None:
    """Run once, with a span of one's own, and end like this."""
    run = f"{task.request.id} {uuid.uuid4().hex}"
    truth.rpush("began", run)
    trace.get_current_span().set_attribute("run", run)
    with tracer.start_as_current_span("inner", attributes={"run": run}):
        pass
    ENDS[how](task, amount)
    with tracer.start_as_current_span("outer", attributes={"run": run}):
        pass
    truth.rpush("ended", run)


def grow(megabytes: float) -> None:
    """Take memory, and use it."""
    for _ in range(int(megabytes)):
        kept.append(bytearray(os.urandom(1024) * 1024))


def exhausted(_: Any, megabytes: float) -> None:
    """Ask for more than this process may have."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 16 * MEGABYTE, before[1]))
    try:
        bytearray(int(megabytes) * MEGABYTE)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def oom_killed(_: Any, megabytes: float) -> None:
    """Go into the control group that the test has made, and grow beyond its limit."""
    Path(os.environ["OOM_GROUP"], "cgroup.procs").write_text(str(os.getpid()))
    grow(megabytes)


def rejects(task: Any, _: float) -> None:
    raise Reject("no", requeue=False)


def requeues(task: Any, _: float) -> None:
    if not task.request.delivery_info["redelivered"]:
        raise Reject("later", requeue=True)


def retries(task: Any, _: float) -> None:
    if not task.request.retries:
        raise task.retry(countdown=0)


def ignored(*_: Any) -> None:
    raise Ignore


def fails(*_: Any) -> None:
    raise ValueError("no")


def forks(*_: Any) -> None:
    """Fork by hand and leave at once; fork as libraries do, and publish there."""
    with tracer.start_as_current_span("forking"):
        child = os.fork()
        if not child:
            with tracer.start_as_current_span("lost with its process"):
                os._exit(0)
        os.waitpid(child, 0)
        process = Process(target=publish, args=("of a process",))
        process.start()
        process.join()


def daemonises(*_: Any) -> None:
    """Become a daemon in a second fork, as the book says: every descriptor closed."""
    with tracer.start_as_current_span("daemonising"):
        child = os.fork()
        if not child:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.closerange(0, 4096)
            os.open(os.devnull, os.O_RDWR)
            os.dup(0)
            os.dup(0)
            os._exit(_as_daemon())
        os.waitpid(child, 0)


def publish(name: str) -> None:
    with tracer.start_as_current_span(name):
        app.send_task("run")


def _as_daemon() -> int:
    """Do what a daemon does, for two exports."""
    try:
        publish("of a daemon")
    except Exception as crash:  # noqa: BLE001 - the test fails with it
        truth.rpush("crashed", repr(crash))
        return 1
    time.sleep(3)
    return 0


def until_twice(task: Any, _: float) -> None:
    """Last until another run of this message has begun, and a moment longer if this is it."""
    if task.request.delivery_info["redelivered"]:
        time.sleep(0.3)
        return
    end = time.monotonic() + 60
    while truth.llen("began") < 2 and time.monotonic() < end:
        time.sleep(0.05)


ENDS: dict[str, Any] = {
    "until twice": until_twice,
    "once long": lambda task, _: (
        None if task.request.delivery_info["redelivered"] else time.sleep(600)
    ),
    "returns": lambda *_: None,
    "sleeps": lambda _, seconds: time.sleep(seconds),
    "killed": lambda *_: os.kill(os.getpid(), signal.SIGKILL),
    "exits": lambda *_: os._exit(3),
    "grows": lambda _, megabytes: grow(megabytes),
    "exhausted": exhausted,
    "oom-killed": oom_killed,
    "fails": fails,
    "ignored": ignored,
    "rejects": rejects,
    "requeues": requeues,
    "retries": retries,
    "forks": forks,
    "daemonises": daemonises,
}

app.task(bind=True, name="run")(body)
app.task(bind=True, name="late", acks_late=True)(body)
