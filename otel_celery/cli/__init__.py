"""The command `otel-celery`: tools around the package, which nothing of it imports."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from otel_celery.cli.day import UNTIL_STOPPED
from otel_celery.cli.demo import run_demo
from otel_celery.cli.view import run_view
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
        if arguments.command == "view":
            return run_view(arguments.host, arguments.port, arguments.token)
        default = UNTIL_STOPPED if arguments.view else SECONDS
        return run_demo(
            arguments.seconds or default,
            arguments.otlp or "",
            arguments.json,
            os.environ,
            view=arguments.view,
        )
    except OtelCeleryError as fault:
        print(f"otel-celery: {fault}", file=sys.stderr)
        return FAILED


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otel-celery", description="Traces and metrics for Celery."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="a small shop under observation, live in the terminal",
        description="Run a small shop (web, worker, beat) with a private broker and watch it. "
        "Nothing leaves this machine, and nothing stays on it.",
        epilog="exit status: 0 the ledger holds and a complete trace was seen; 1 not so, or a "
        "program of the shop failed; 2 wrong arguments; 130 stopped by a second Ctrl-C. "
        "The first Ctrl-C closes the shop in order.",
    )
    demo.add_argument(
        "--seconds",
        type=duration,
        help="how long customers order (default: 20; with --view until Ctrl-C)",
    )
    where = demo.add_mutually_exclusive_group()
    where.add_argument(
        "--view",
        action="store_true",
        help="show it on the page of `otel-celery view` instead of the terminal",
    )
    where.add_argument(
        "--otlp",
        type=url,
        metavar="URL",
        help="send to this Collector (OTLP/HTTP, such as http://127.0.0.1:4318) instead of the "
        "screen; then only the programs' exit statuses are judged",
    )
    demo.add_argument("--json", action="store_true", help="print the result as JSON, for machines")
    view = commands.add_parser(
        "view",
        help="a page for development: tasks, queues, workers, failures and traces, live",
        description="Take OTLP over HTTP, keep the newest of it in memory, and show it on a page. "
        "For one machine: production is the Collector and its backends.",
        epilog="exit status: 0 stopped by Ctrl-C; 1 it cannot start; 2 wrong arguments.",
    )
    view.add_argument(
        "--port", type=port, default=4318, help="of page and receiver (default: 4318); 0: any free"
    )
    view.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1); any but the loopback asks for a token",
    )
    view.add_argument(
        "--token", default="", help="to ask for (default: a random one where one is needed)"
    )
    return parser


def duration(text: str) -> float:
    expected = argparse.ArgumentTypeError("expected seconds above 0, at most a day")
    try:
        number = float(text)
    except ValueError:
        raise expected from None
    if not 0 < number <= 86400:
        raise expected
    return number


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("expected a port, 0 to 65535")
    return int(text)


def url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError("expected a URL such as http://127.0.0.1:4318")
    return text
