"""How does an error server that speaks Sentry's protocol run here?

Bugsink comes from PyPI into a virtualenv of its own and keeps everything in one folder. It is
licensed for local use by one person, so that it is fetched and never shipped.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collector.native.build import cache, locked, say

LOCK = Path(__file__).with_name("bugsink.txt")
VERSION = next(
    line.split()[0].removeprefix("bugsink==")
    for line in LOCK.read_text().splitlines()
    if line.startswith("bugsink==")
)
HOST = "127.0.0.1"
LOGIN = "dev@example.test:devpass"
"""Mail address and password for its web page."""

_TOKEN = "token"  # of its API, in the same folder: both are one person's
_API = "/api/canonical/0"
_PATIENCE = 60.0  # seconds until it answers: a busy machine imports Django slowly
_GRACE = 10.0  # seconds that it has to stop
# Read when it starts, so that one prepared folder serves every port. By default it phones home.
_SETTINGS = """

import os
BUGSINK["BASE_URL"] = os.environ["BUGSINK_URL"]
BUGSINK["PHONEHOME"] = False
"""


class Bugsink:
    """A Bugsink that runs, with one project."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self._token = url, token
        self.dsn: str = self.api(f"projects/{self._project()}/")["dsn"]

    def api(self, path: str, data: Mapping[str, Any] | None = None) -> Any:
        """Ask its API, with POST where there is something to say.

        Args:
            path: below the API's root, such as `issues/?project=1`.
            data: sent as JSON.

        Raises:
            urllib.error.HTTPError: it refuses.
        """
        request = urllib.request.Request(
            f"{self.url}{_API}/{path}",
            None if data is None else json.dumps(data).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def _project(self) -> int:
        """Return the number of the one project, made if the folder is new."""
        known = self.api("projects/")["results"]
        if known:
            return int(known[0]["id"])
        team = self.api("teams/", {"name": "dev"})["id"]
        return int(self.api("projects/", {"team": team, "name": "celery"})["id"])


def install() -> Path:
    """Return the folder with its virtualenv, made at the first call.

    What takes longest, the migrations of an empty database, is done here once and copied later.
    """
    home = cache() / f"bugsink-{VERSION}"
    home.mkdir(parents=True, exist_ok=True)
    with locked("bugsink"):  # two test runs may come at once
        if not (home / "ready").exists():
            say(f"installing Bugsink {VERSION} (once, about half a minute)")
            _install(home)
            (home / "ready").touch()
    return home


def _install(home: Path) -> None:
    uv, python = Path(sys.executable).with_name("uv"), home / "venv" / "bin" / "python"
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home / "venv"], home)
    _run(
        [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", LOCK], home
    )
    empty = home / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir()
    command = [_program(home, "bugsink-create-conf"), "--template=local", f"--host={HOST}"]
    _run(command, empty)
    with (empty / "bugsink_conf.py").open("a") as conf:
        conf.write(_SETTINGS)
    environ = _environ("http://127.0.0.1", CREATE_SUPERUSER=LOGIN)
    for step in ("migrate", "prestart", "create_auth_token"):
        said = _run([_program(home, "bugsink-manage"), step], empty, environ)
    (empty / _TOKEN).write_text(said.split()[-1])


@contextlib.contextmanager
def running(folder: Path, port: int) -> Iterator[Bugsink]:
    """Run it on a port of the loopback until the block ends.

    Args:
        folder: keeps its data; one that is empty or missing is filled first.
        port: of web page, API and the project's DSN.
    """
    home = install()
    if not (folder / "bugsink_conf.py").exists():
        shutil.copytree(home / "empty", folder, dirs_exist_ok=True)
    url = f"http://{HOST}:{port}"
    server = [str(_program(home, "gunicorn")), "--bind", f"{HOST}:{port}", "--chdir", str(folder)]
    command = [*server, "--workers", "1", "--threads", "4", "bugsink.wsgi"]
    log = folder / "bugsink.log"
    with (
        log.open("ab") as out,
        subprocess.Popen(
            command,
            cwd=folder,
            env=_environ(url),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        ) as process,
    ):
        try:
            _await(f"{url}/health/ready", process, log)
            yield Bugsink(url, (folder / _TOKEN).read_text())
        finally:
            for ending in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, ending)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)


def _program(home: Path, name: str) -> Path:
    return home / "venv" / "bin" / name


def _environ(url: str, **more: str) -> dict[str, str]:
    """Return the variables for it: its own Sentry client must not take our DSN."""
    kept = {name: value for name, value in os.environ.items() if name != "SENTRY_DSN"}
    return {**kept, "DJANGO_SETTINGS_MODULE": "bugsink_conf", "BUGSINK_URL": url, **more}


def _run(command: list[Any], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed; one that fails tells why."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it is ready."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as fault:  # an HTTPError is one, too
            if process.poll() is not None or time.monotonic() > deadline:
                words = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Bugsink does not answer: {words}") from fault
        time.sleep(0.1)
