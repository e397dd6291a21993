"""Which real brokers can a test have, each private and gone afterwards?"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import amqp
import pytest
import redis

HOST = "127.0.0.1"
DEBIAN_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""What Debian's wrapper on PATH calls after it has changed the user."""


class ServiceMissing(Exception):
    """The program of a service is not installed here."""


def missing(why: str) -> NoReturn:
    """End a test that lacks something: at home it is skipped, in CI it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def _ports() -> Iterator[int]:
    """Yield ports below those that the system hands out by itself, each worker of xdist its own.

    One of the system's may be the near end of some connection by the time that a server wants it.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    own = list(range(20_000 + 1_500 * number, 21_500 + 1_500 * number))
    start = random.SystemRandom().randrange(len(own))  # two runs may go on at once
    return itertools.cycle(own[start:] + own[:start])


_PORTS = _ports()


def free_port() -> int:
    """Return a port of the loopback that nobody listened on a moment ago, and none twice."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port
    raise AssertionError("a cycle has no end")


def program(name: str) -> str:
    """Return the path of an installed program.

    Raises:
        ServiceMissing: it is not on PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise ServiceMissing(f"{name} is not on PATH")
    return found


class Service:
    """A server that a test may stop and start again: its URL stays.

    Args:
        url: where clients reach it.
        run: runs it until it answers, to the end of the block.
        environ: for programs that control it.
    """

    def __init__(
        self,
        url: str,
        run: Callable[[], contextlib.AbstractContextManager[subprocess.Popen[bytes]]],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.url, self.environ = url, environ
        self._run, self._block = run, contextlib.ExitStack()
        self.pid = 0

    def start(self) -> None:
        """Run it, and return when it answers."""
        self.pid = self._block.enter_context(self._run()).pid

    def stop(self) -> None:
        """End it in order, if it runs."""
        self._block.close()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold it up: it takes connections and says nothing."""
        os.killpg(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.pid, signal.SIGCONT)

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.contextmanager
def redis_server(folder: Path, *arguments: str) -> Iterator[str]:
    """Run an empty Redis that stores nothing, and yield its URL.

    Args:
        folder: where its log goes.
        arguments: more of its command line, such as `--requirepass secret`.
    """
    with redis_service(folder, *arguments) as service:
        yield service.url


def redis_service(folder: Path, *arguments: str) -> Service:
    """Return a Redis to start and to stop; each time it starts empty. Arguments as above."""
    port = free_port()
    command = [program("redis-server"), "--bind", HOST, "--port", str(port), "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no", *arguments]

    def answers() -> None:
        with contextlib.suppress(redis.AuthenticationError), redis.Redis(HOST, port) as client:
            client.ping()

    @contextlib.contextmanager
    def run() -> Iterator[subprocess.Popen[bytes]]:
        with running(command, folder / "redis.log") as process:
            wait_until(answers, process, folder / "redis.log", 10.0)
            yield process

    return Service(f"redis://{HOST}:{port}/0", run)


@contextlib.contextmanager
def redis_sentinel(folder: Path, master: str) -> Iterator[str]:
    """Run a sentinel that watches one Redis as `main`, and yield its URL.

    Args:
        folder: where its configuration, which it writes itself, and its log go.
        master: what `redis_server` yielded.
    """
    port = free_port()
    watched = urlsplit(master)
    conf = folder / "sentinel.conf"
    conf.write_text(
        f"bind {HOST}\nport {port}\ndir {folder}\n"
        f"sentinel monitor main {watched.hostname} {watched.port} 1\n"
    )

    def answers() -> None:
        with redis.Redis(HOST, port) as client:
            client.ping()

    command = [program("redis-server"), str(conf), "--sentinel"]
    with running(command, folder / "sentinel.log") as process:
        wait_until(answers, process, folder / "sentinel.log", 10.0)
        yield f"sentinel://{HOST}:{port}"


@contextlib.contextmanager
def rabbitmq_server(folder: Path, metrics_port: int = 0) -> Iterator[str]:
    """Run a RabbitMQ node of its own, and yield its URL. Arguments as below."""
    with rabbitmq_service(folder, metrics_port) as service:
        yield service.url


@contextlib.contextmanager
def rabbitmq_service(folder: Path, metrics_port: int = 0) -> Iterator[Service]:
    """Run a RabbitMQ node with an epmd of its own; stopped and started again, it keeps its queues.

    Starting takes about ten seconds: share it among tests.

    Args:
        folder: where its database, log and cookie go.
        metrics_port: where its Prometheus plugin answers, which is off unless given.
    """
    server = program("rabbitmq-server")
    if DEBIAN_RABBITMQ.exists():
        server = str(DEBIAN_RABBITMQ)
    ports = {name: str(free_port()) for name in ("epmd", "amqp", "dist")}
    epmd = [program("epmd"), "-address", HOST, "-port", ports["epmd"]]
    environ = os.environ | {
        "HOME": str(folder),
        "ERL_EPMD_PORT": ports["epmd"],
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": f"test{ports['amqp']}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": ports["amqp"],
        "RABBITMQ_DIST_PORT": ports["dist"],
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "absent-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "absent"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "absent.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "absent-plugins"),
    }

    if metrics_port:
        plugins, config = folder / "plugins", folder / "rabbitmq.conf"
        plugins.write_text("[rabbitmq_prometheus].\n")
        config.write_text(f"prometheus.tcp.ip = {HOST}\nprometheus.tcp.port = {metrics_port}\n")
        environ |= {
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_CONFIG_FILE": str(config),
        }

    def answers() -> None:
        with amqp.Connection(f"{HOST}:{ports['amqp']}", connect_timeout=2.0, read_timeout=2.0):
            pass

    @contextlib.contextmanager
    def run() -> Iterator[subprocess.Popen[bytes]]:
        log = folder / "rabbitmq.log"
        with running([server], log, environ, grace=15.0) as process:
            wait_until(answers, process, log, 90.0)
            yield process

    url = f"amqp://guest:guest@{HOST}:{ports['amqp']}//"
    with running(epmd, folder / "epmd.log", environ), Service(url, run, environ) as service:
        yield service


def rabbitmqctl(service: Service, *arguments: str) -> None:
    """Control a RabbitMQ node; each call takes some seconds."""
    command = "rabbitmqctl"
    if (own := DEBIAN_RABBITMQ.with_name(command)).exists():
        command = str(own)
    subprocess.run([command, *arguments], env=service.environ, check=True, capture_output=True)


@contextlib.contextmanager
def running(
    command: list[str],
    log: Path,
    environ: Mapping[str, str] | None = None,
    *,
    grace: float = 5.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own; the group ends with the block."""
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environ,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until(
    answers: Callable[[], None], process: subprocess.Popen[bytes], log: Path, seconds: float
) -> None:
    """Return when a service answers; fail with its own words if it ends or is too slow."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return answers()
        except (OSError, amqp.AMQPError, redis.RedisError) as fault:
            if process.poll() is not None or time.monotonic() > deadline:
                words = log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"{process.args!r} does not answer: {words}") from fault
        time.sleep(0.05)
