"""Which sides are compared, what is each of them given, and in which virtualenv does it run?"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "build" / "benchmarks"
LOCKS = Path(__file__).with_name("peers")


class Missing(Exception):
    """A side cannot be measured here; the page gives the reason."""


class Side(NamedTuple):
    """One way to watch Celery.

    Attributes:
        title: as tables name it.
        package: whose version is shown.
        given: what was switched on, and who takes what it sends.
        lock: which virtualenv; "": the project's own.
        variables: `{url}` and `{address}` stand for the sink, `{prefix}` for the virtualenv.
        bootstrap: folder of its packages whose `sitecustomize` switches it on, as its own launcher
            does, which callgrind could not follow.
        otlp: its spans can be counted on arrival.
    """

    title: str
    package: str
    given: str
    lock: str = ""
    variables: Mapping[str, str] = {}
    bootstrap: str = ""
    otlp: bool = False


OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}", "OTEL_SERVICE_NAME": "bench"}
SIDES: Mapping[str, Side] = {
    "bare": Side("Celery alone", "celery", "nothing"),
    "ours": Side("otel-celery", "otel-celery", "spans and metrics, as OTLP", "", OTLP, otlp=True),
    "contrib": Side(
        "contrib",
        "opentelemetry-instrumentation-celery",
        "the SDK with batch processor and periodic metric reader in each pool process, as OTLP",
        "",
        OTLP,
        otlp=True,
    ),
    "elastic-apm": Side(
        "Elastic APM",
        "elastic-apm",
        "a client and both registrations; publishes are within a transaction, and are a header",
        "elastic-apm",
        {
            "ELASTIC_APM_SERVER_URL": "{url}",
            "ELASTIC_APM_SERVICE_NAME": "bench",
            "ELASTIC_APM_CENTRAL_CONFIG": "false",
            "ELASTIC_APM_CLOUD_PROVIDER": "none",
        },
    ),
    "ddtrace": Side(
        "Datadog",
        "ddtrace",
        "its `sitecustomize`, traces only; the sink speaks for its agent",
        "ddtrace",
        {
            "DD_TRACE_AGENT_URL": "{url}",
            "DD_SERVICE": "bench",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_TRACE_STARTUP_LOGS": "false",
        },
        bootstrap="ddtrace/bootstrap",
    ),
    "sentry-sdk": Side(
        "Sentry",
        "sentry-sdk",
        "its Celery integration, `traces_sample_rate=1.0`; a publish is a header",
        "sentry-sdk",
        {"SENTRY_DSN": "http://key@{address}/1"},
    ),
    "newrelic": Side(
        "New Relic",
        "newrelic",
        "its `sitecustomize` in developer mode: all of its work, but nothing is sent",
        "newrelic",
        {
            "NEW_RELIC_LICENSE_KEY": "0" * 40,
            "NEW_RELIC_APP_NAME": "bench",
            "NEW_RELIC_DEVELOPER_MODE": "true",
            "NEW_RELIC_STARTUP_TIMEOUT": "10",
            "NEW_RELIC_LOG_LEVEL": "error",
            "NEW_RELIC_PYTHON_PREFIX": "{prefix}",  # as `newrelic-admin run-program` tells
            "NEW_RELIC_PYTHON_VERSION": "{python}",
        },
        bootstrap="newrelic/bootstrap",
    ),
    "events": Side(
        "Celery events",
        "flower",
        "a worker with `-E`, and Flower, which makes metrics for Prometheus of its events",
        "flower",
    ),
}


def python_of(name: str) -> Path:
    """Return the interpreter of a side, whose virtualenv is made the first time.

    Raises:
        Missing: its packages do not install.
    """
    side = SIDES[name]
    if not side.lock:
        return Path(sys.executable)
    lock = LOCKS / f"{side.lock}.txt"
    folder = BUILT / f"venv-{side.lock}"
    python, stamp = folder / "bin" / "python", folder / "locked"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        uv = [str(Path(sys.executable).with_name("uv"))]
        _run(*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _run(
            *uv, "pip", "sync", "--quiet", "--python", str(python),
            "--require-hashes", str(lock),
        )  # fmt: skip
        stamp.write_text(wanted)
    return python


def environment(name: str, url: str, **variables: str) -> dict[str, str]:
    """Return the variables of a measured program, without what the caller's say of Python.

    Args:
        name: of the side.
        url: where its telemetry goes.
        variables: further ones.
    """
    side = SIDES[name]
    strange = ("OTEL", "PYTHON", "DD_", "ELASTIC", "SENTRY", "NEW_RELIC")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
    known = {
        "url": url,
        "address": url.removeprefix("http://"),
        "prefix": BUILT / f"venv-{side.lock}",
        "python": "{}.{}".format(*sys.version_info),
    }
    own = {key: text.format(**known) for key, text in side.variables.items()}
    path = [str(ROOT)]
    if side.bootstrap:
        path.insert(0, str(packages_of(name) / side.bootstrap))
    return {
        **kept,
        "BENCH_SIDE": name,
        "PYTHONHASHSEED": "0",  # the same tables, and so the same work, in each run
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONWARNINGS": "ignore",  # Celery's of running as root
        **own,
        **variables,
    }


def packages_of(name: str) -> Path:
    """Return where a side's packages are."""
    return Path(_ask(name, "import sysconfig; print(sysconfig.get_path('purelib'))"))


def version_of(name: str) -> str:
    """Return the version of a side's package."""
    package = SIDES[name].package
    return _ask(name, f"from importlib.metadata import version; print(version({package!r}))")


def _ask(name: str, program: str) -> str:
    return _run(str(python_of(name)), "-I", "-c", program).strip()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Missing(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else command[0])
    return done.stdout
