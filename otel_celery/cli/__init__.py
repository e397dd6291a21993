"""The command `otel-celery`: tools around the package, which nothing of it imports."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from otel_celery.cli.demo import run_demo
from otel_celery.errors import OtelCeleryError

FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit status.

    Args:
        argv: the arguments; None: those of the process.
    """
    arguments = build_parser().parse_args(argv)
    try:
        return run_demo(arguments.seconds, arguments.otlp or "", arguments.json, os.environ)
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
        "--seconds", type=duration, default=20.0, help="how long customers order (default: 20)"
    )
    demo.add_argument(
        "--otlp",
        type=url,
        metavar="URL",
        help="send to this Collector (OTLP/HTTP, such as http://127.0.0.1:4318) instead of the "
        "screen; then only the programs' exit statuses are judged",
    )
    demo.add_argument("--json", action="store_true", help="print the result as JSON, for machines")
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


def url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError("expected a URL such as http://127.0.0.1:4318")
    return text
