"""The command `otel-celery`: tools around the package, which nothing of it imports.

Each command is loaded when it is called: a probe of `health` starts every few seconds.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence

from otel_celery.cli.arguments import build_parser
from otel_celery.errors import OtelCeleryError

FAILED = 1
SECONDS = 20.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit status.

    Args:
        argv: the arguments; None: those of the process.
    """
    arguments = build_parser().parse_args(argv)
    try:
        return COMMANDS[arguments.command](arguments)
    except OtelCeleryError as fault:
        print(f"otel-celery: {fault}", file=sys.stderr)
        return FAILED


def _demo(arguments: Namespace) -> int:
    from otel_celery.cli.day import UNTIL_STOPPED
    from otel_celery.cli.demo import run_demo

    default = UNTIL_STOPPED if arguments.view else SECONDS
    return run_demo(
        arguments.seconds or default,
        arguments.otlp or "",
        arguments.json,
        os.environ,
        view=arguments.view,
    )


def _view(arguments: Namespace) -> int:
    from otel_celery.cli.view import run_view

    return run_view(arguments.host, arguments.port, arguments.token)


def _health(arguments: Namespace) -> int:
    from otel_celery.cli.health import run_health

    return run_health(arguments)


def _status(arguments: Namespace) -> int:
    from otel_celery.cli.status import run_status

    return run_status(arguments)


def _monitor(arguments: Namespace) -> int:
    from otel_celery.cli.monitor import run_monitor

    return run_monitor(arguments, os.environ)


COMMANDS: Mapping[str, Callable[[Namespace], int]] = {
    "demo": _demo,
    "view": _view,
    "health": _health,
    "status": _status,
    "monitor": _monitor,
}
