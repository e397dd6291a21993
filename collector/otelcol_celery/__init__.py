"""What does `otelcol-celery` run? The Collector, with the configuration that came with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "otelcol-celery"
CONFIG = HERE / "collector.yaml"
OVERLAYS = HERE / "overlays"

# A Collector by itself: its series need no id that is new at each start.
SINGLE = "--feature-gates=-connector.spanmetrics.includeCollectorInstanceID"

# What reads a configuration; `components` and the like do not.
CONFIGURED = ("validate", "print-config")

HELP = """\
With no --config it runs the configuration that came with it: OTLP on 127.0.0.1:4317 and :4318,
metrics for Prometheus on 127.0.0.1:8889, traces to TRACES_ENDPOINT, or printed if that is not set.
  --overlay NAME    join one of: {overlays}
"""


def overlay(name: str) -> Path:
    """Return the file of an overlay.

    Raises:
        SystemExit: there is none of that name; the message has those that there are.
    """
    known = sorted(path.stem for path in OVERLAYS.glob("*.yaml"))
    if name not in known:
        raise SystemExit(f"--overlay {name}: expected one of {', '.join(known)}")
    return OVERLAYS / f"{name}.yaml"


def arguments(given: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return what the Collector is called with.

    Whoever names a --config has decided what the overlays are joined to.
    """
    rest: list[str] = []
    overlays: list[str] = []
    words = iter(given)
    for word in words:
        if word == "--overlay":
            overlays.append(next(words, ""))
        elif word.startswith("--overlay="):
            overlays.append(word.partition("=")[2])
        else:
            rest.append(word)
    joined = [f"--config={overlay(name)}" for name in overlays]
    command = rest[:1] if rest and not rest[0].startswith("-") else []
    if command and command[0] not in CONFIGURED:
        return rest
    options = rest[len(command) :]
    if {"-h", "--help", "-v", "--version"} & set(options):
        return rest
    if not any(option.partition("=")[0] == "--config" for option in options):
        base = [f"--config={CONFIG}"]
        if not environ.get("TRACES_ENDPOINT") and "gateway-agent" not in overlays:
            base.append(f"--config={overlay('laptop')}")
        options = base + options
    if not any(option.startswith("--feature-gates") for option in options):
        options = [SINGLE, *options]
    return [*command, *options, *joined]


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the Collector's variables: its queues go where this user may write."""
    state = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return {"OTELCOL_STORAGE_DIR": str(Path(state, "otelcol-celery")), **environ}


def main() -> NoReturn:
    """Become the Collector."""
    given = sys.argv[1:]
    if {"-h", "--help"} & set(given):
        names = ", ".join(sorted(path.stem for path in OVERLAYS.glob("*.yaml")))
        sys.stdout.write(HELP.format(overlays=names))
        sys.stdout.flush()
    os.execve(PROGRAM, [PROGRAM.name, *arguments(given, os.environ)], variables(os.environ))
