"""Which processes make up the stack, and do they run?"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from collector.native import bugsink
from collector.native.build import COLLECTOR, BuildError
from collector.native.compose import ROOT, Service, services
from collector.native.programs import find
from collector.native.translate import LOOPBACK, Translation

SHOP = ROOT / "examples" / "shop"
PYTHON = Path(sys.executable)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever http_proxy says
READY_SECONDS = 120.0
STOP_SECONDS = 30.0

# Containers whose program is called otherwise than the service.
_PROGRAMS = {"collector": COLLECTOR, "redis": "redis-server"}
# A container would inherit nothing of the caller's shell.
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "XDG_CACHE_HOME")
_SHOP_READY = {"web": "The shop is open", "worker": " ready.", "beat": "beat: Starting"}
NATIVE = ("redis", "jaeger", "alertmanager", "prometheus", "collector", "bugsink", *_SHOP_READY)
"""Services that run here, in the order in which they start."""


class StackError(RuntimeError):
    """A service did not start, or ended by itself; the message has its last words."""


class Stack:
    """The services of docker-compose.yml as processes of this machine.

    Args:
        folder: for files, logs and data.
        names: of the services to run; all that can unless told.
        variables: as the shell would give them to Docker, such as SENTRY_DSN.
        environ: more variables of the services, such as a shorter export interval.
        fixed: ports as docker-compose.yml publishes them, not free ones.
    """

    def __init__(
        self,
        folder: Path,
        names: Collection[str] = NATIVE,
        *,
        variables: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        fixed: bool = False,
    ) -> None:
        self.folder = folder
        self.names = tuple(name for name in NATIVE if name in names)
        self._variables, self._environ = dict(variables or {}), dict(environ or {})
        self._services = services(self._variables)
        self._ports = _ports(self._services.values(), fixed=fixed)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._bugsink: bugsink.Bugsink | None = None
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Stack:
        try:
            for name in self.names:
                self.start(name)
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def url(self, name: str, port: int) -> str:
        """Return the address of a service by its port in the container."""
        return f"http://{LOOPBACK}:{self._ports[name, port]}"

    def log(self, name: str) -> str:
        """Return what a service printed."""
        return self._log(name).read_text(errors="replace")

    def pid(self, name: str) -> int:
        return self._running[name].pid

    @property
    def errors(self) -> bugsink.Bugsink:
        """The server that takes errors."""
        assert self._bugsink is not None, "bugsink does not run"
        return self._bugsink

    def start(self, name: str) -> None:
        """Start a service, with the data of its last run, and return when it is ready.

        Raises:
            StackError: it is not, or ended.
            BuildError: its program cannot be had.
        """
        if name == "bugsink":
            self._start_bugsink()
            return
        service = self._services[name]
        translation = Translation(service, self._services.values(), self.folder / name, self._ports)
        translation.lay_out()
        command = [translation.text(word) for word in service.command]
        kept = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        environ = {**kept, **self._environ, **translation.environ()}
        with self._log(name).open("ab") as out:
            self._running[name] = subprocess.Popen(
                self._command(name, command, translation),
                cwd=SHOP if name in _SHOP_READY else self.folder,
                env=environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,  # Ctrl-C is for us, who end them in order
            )  # fmt: skip
        self._await(name, self._ready(name, service, translation))

    def stop(self, name: str, sign: int = signal.SIGTERM) -> int:
        """End a service and return its exit code; SIGKILL is what an outage sends."""
        process = self._running.pop(name)
        if process.poll() is None:
            process.send_signal(sign)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise StackError(f"{name} did not stop\n{self.log(name)[-2000:]}") from None

    def stop_all(self) -> None:
        """End every service, what was started last first."""
        for name in reversed(tuple(self._running)):
            with contextlib.suppress(StackError):
                self.stop(name)
        self._cleanup.close()

    def check(self) -> None:
        """Raise StackError if a service has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise StackError(
                    f"{name} ended with {process.returncode}\n{self.log(name)[-2000:]}"
                )

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _command(self, name: str, words: list[str], translation: Translation) -> list[str]:
        if name in _SHOP_READY:
            program = {"celery": PYTHON.with_name("celery"), "python": PYTHON}[words[0]]
            return [str(program), *words[1:]]
        if name == "redis":  # its image starts in /data and needs no word about addresses
            port = self._ports[name, 6379]
            words = [*words[1:], "--bind", LOOPBACK, "--port", str(port)]
            words += ["--dir", str(translation.path("/data"))]
        return [str(find(_PROGRAMS.get(name, name))), *words]

    def _ready(self, name: str, service: Service, translation: Translation) -> Callable[[], bool]:
        if name in _SHOP_READY:
            before = self.log(name).count(_SHOP_READY[name])
            return lambda: self.log(name).count(_SHOP_READY[name]) > before
        if name == "redis":
            return lambda: _listens(self._ports[name, 6379])
        asked = translation.text(service.healthcheck[-1])
        return lambda: _answers(asked)

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + READY_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise StackError(f"{name} is not ready\n{self.log(name)[-2000:]}")
            time.sleep(0.1)

    def _start_bugsink(self) -> None:
        port = self._ports["bugsink", 8000]
        self._bugsink = self._cleanup.enter_context(bugsink.running(self.folder / "bugsink", port))
        self._services = services({"SENTRY_DSN": self._bugsink.dsn, **self._variables})


def _ports(everyone: Collection[Service], *, fixed: bool) -> dict[tuple[str, int], int]:
    """Return where each port of a container is here; unpublished ones are free ones."""
    found: dict[tuple[str, int], int] = {}
    with contextlib.ExitStack() as held:  # all at once, so that no two are the same
        for service in everyone:
            for port in (*service.published, *service.exposed):
                if fixed and port in service.published:
                    found[service.name, port] = service.published[port]
                    continue
                probe = held.enter_context(socket.socket())
                probe.bind((LOOPBACK, 0))
                found[service.name, port] = probe.getsockname()[1]
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _answers(url: str) -> bool:
    try:
        with _DIRECT.open(url, timeout=2) as answer:
            return bool(answer.status < 400)
    except (urllib.error.URLError, OSError):
        return False


def unavailable(names: Collection[str] = NATIVE) -> dict[str, str]:
    """Return the services that cannot run here, each with what would bring it.

    What can be built or installed without being root is, which takes minutes the first time.
    """
    found = {}
    for name in names:
        try:
            if name == "bugsink":
                bugsink.install()
            elif name not in _SHOP_READY:
                find(_PROGRAMS.get(name, name))
        except (BuildError, RuntimeError) as why:
            found[name] = str(why)
    return found
