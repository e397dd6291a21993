"""Which broker can the demo have for itself, and what can it do?"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from otel_celery.cli.processes import Program

HOST = "127.0.0.1"
ATTEMPTS = 3
REDIS_START_SECONDS = 5.0


@dataclass(frozen=True)
class Broker:
    """A private broker, and the variables that lead the shop to it."""

    name: str
    remark: str  # one line for a person: what runs, and what it lacks
    environ: Mapping[str, str] = field(default_factory=dict)
    worker_options: tuple[str, ...] = ()


@contextlib.contextmanager
def private_broker(folder: Path, environ: Mapping[str, str]) -> Iterator[Broker]:
    """Run a Redis where that is possible, else lend a folder; gone after the block."""
    why_not = redis_lacks()
    if why_not:
        yield folder_broker(folder, why_not)
        return
    server = shutil.which("redis-server")
    for _ in range(ATTEMPTS):
        port = free_port()
        command = [str(server), "--bind", HOST, "--port", str(port), "--dir", str(folder)]
        command += ["--save", "", "--appendonly", "no"]
        with Program("redis", command, folder, environ) as redis:
            if answers(redis, port):
                yield redis_broker(port)
                return
    yield folder_broker(folder, "redis-server did not start")


def redis_lacks() -> str:
    """Say why no private Redis can be used; empty when it can."""
    if shutil.which("redis-server") is None:
        return "redis-server is not on PATH"
    if importlib.util.find_spec("redis") is None:
        return "the Python package redis is missing (pip install 'otel-celery[redis]')"
    return ""


def redis_broker(port: int) -> Broker:
    url = f"redis://{HOST}:{port}"
    return Broker(
        name="redis",
        remark=f"broker: a private redis-server on {HOST}:{port}",
        environ={"CELERY_BROKER_URL": f"{url}/0", "CELERY_RESULT_BACKEND": f"{url}/1"},
    )


def folder_broker(folder: Path, why: str) -> Broker:
    """Return the filesystem transport, over which workers cannot talk to each other."""
    for name in ("messages", "control", "results"):
        (folder / name).mkdir(exist_ok=True)
    return Broker(
        name="filesystem",
        remark="broker: files in a temporary folder, slower than Redis, and no task gets killed"
        f" ({why})",
        environ={
            "CELERY_BROKER_URL": "filesystem://",
            "CELERY_RESULT_BACKEND": (folder / "results").as_uri(),
            "SHOP_FOLDER": str(folder),
        },
        worker_options=("--without-gossip", "--without-heartbeat"),
    )


def free_port() -> int:
    """Return a port of the loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(redis: Program, port: int) -> bool:
    """Tell whether it answers a PING before the time is up, or ends."""
    deadline = time.monotonic() + REDIS_START_SECONDS
    while redis.status is None and time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, port), timeout=1.0) as connection,
        ):
            connection.sendall(b"PING\r\n")
            if connection.recv(7).startswith(b"+PONG"):
                return True
        time.sleep(0.02)
    return False
