"""Importing the package starts nothing and loads nothing that costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, os, sys, threading

seen = {"acts": [], "variables": []}
ACTS = {"socket.__new__", "socket.bind", "socket.connect", "os.fork", "os.mkdir",
        "subprocess.Popen"}
HEAVY = ("opentelemetry.sdk", "opentelemetry.exporter", "celery.worker", "requests", "rich")
start_thread = threading.Thread.start


def note_act(event, args):
    if event in ACTS:
        seen["acts"].append(event)


def note_thread(thread):
    seen["acts"].append("threading.Thread.start")
    start_thread(thread)


class Environ(type(os.environ)):
    def __getitem__(self, name):
        if name.startswith(("OTEL_CELERY_", "SENTRY_")):
            seen["variables"].append(name)
        return super().__getitem__(name)


os.environ.__class__ = Environ
threading.Thread.start = note_thread
sys.addaudithook(note_act)
import {module}
seen["heavy"] = [name for name in HEAVY if name in sys.modules]
seen["threads"] = [thread.name for thread in threading.enumerate()]
print(json.dumps(seen))
"""
INERT = {"acts": [], "variables": [], "heavy": [], "threads": ["MainThread"]}


def import_alone(module: str, folder: Path) -> dict[str, list[str]]:
    """Return what an interpreter of its own saw while it imported `module`."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("{module}", module)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_importing_the_package_starts_nothing_and_loads_no_sdk(tmp_path):
    """No thread, socket, process, folder, setting read; no SDK, worker or HTTP client."""
    assert import_alone("otel_celery", tmp_path) == INERT


def test_an_import_that_acts_is_seen(tmp_path):
    """The probe itself can fail: each thing that is forbidden is noticed."""
    (tmp_path / "loud.py").write_text(
        "import os, socket, threading, opentelemetry.sdk\n"
        "socket.socket().close()\n"
        "os.environ.get('OTEL_CELERY_QUEUES')\n"
        "threading.Thread(target=threading.Event().wait, name='loud', daemon=True).start()\n"
    )
    seen = import_alone("loud", tmp_path)
    assert seen == {
        "acts": ["socket.__new__", "threading.Thread.start"],
        "variables": ["OTEL_CELERY_QUEUES"],
        "heavy": ["opentelemetry.sdk"],
        "threads": ["MainThread", "loud"],
    }


FIRST_PUBLISH = """
import sys
from celery import Celery
import otel_celery
from otel_celery import bootstrap

app = Celery("web", broker="memory://")
app.send_task("first")  # Celery imports, too
otel_celery.instrument(app)
before = set(sys.modules)
app.send_task("second")
bootstrap._current.here.exporter.flush(0.5)
print(sorted(set(sys.modules) - before))
"""


def test_the_first_publish_imports_nothing(tmp_path: Path):
    """A child forked while a thread of its parent imports a module waits for its lock for ever."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environ |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_CELERY_FLUSH_TIMEOUT": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", FIRST_PUBLISH],
        cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"
