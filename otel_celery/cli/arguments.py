"""Which arguments do the commands take?"""

from __future__ import annotations

import argparse
from typing import TypeAlias
from urllib.parse import urlsplit

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otel-celery", description="Traces and metrics for Celery."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for add in (_demo, _view, _health, _status, _monitor):
        add(commands)
    return parser


def _demo(commands: Commands) -> None:
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


def _view(commands: Commands) -> None:
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


def _health(commands: Commands) -> None:
    health = commands.add_parser(
        "health",
        help="for probes: is a worker of this host alive; are broker and queues ready",
        description="Say whether a worker of this host is alive, by a file that its main process "
        "touches; with --ready, whether the broker answers and how much waits in its queues. "
        "Nothing is broadcast, and no worker is asked.",
        epilog="exit status: 0 healthy, or degraded; 1 unhealthy, with --strict also degraded; "
        "2 wrong arguments.",
    )
    health.add_argument(
        "-n",
        "--nodename",
        metavar="NAME",
        help="the worker, as `celery worker -n` takes it, with %%h, %%n and %%d "
        "(default: celery@%%h)",
    )
    health.add_argument(
        "--max-age",
        type=duration,
        default=60.0,
        metavar="SECONDS",
        help="since its last heartbeat, beyond which it is unhealthy (default: 60)",
    )
    health.add_argument(
        "--ready",
        action="store_true",
        help="ask the broker; the worker too only where -n names it",
    )
    _add_app(health)
    health.add_argument(
        "--warn-depth",
        type=depth,
        action="append",
        default=[],
        metavar="[QUEUE=]N",
        help="more than N messages ready in the queue, or in any: degraded",
    )
    health.add_argument(
        "--max-depth",
        type=depth,
        action="append",
        default=[],
        metavar="[QUEUE=]N",
        help="more than N messages ready in the queue, or in any: unhealthy",
    )
    health.add_argument(
        "--timeout",
        type=duration,
        default=2.0,
        metavar="SECONDS",
        help="for everything that the broker has to answer (default: 2)",
    )
    health.add_argument("--strict", action="store_true", help="exit with 1 where it is degraded")
    health.add_argument("--json", action="store_true", help="print JSON, for machines")


def _status(commands: Commands) -> None:
    status = commands.add_parser(
        "status",
        help="queues, workers, pools and the busiest tasks, once or again and again",
        description="Ask the broker for its queues, and all workers for their pools and tasks: "
        "one broadcast (Celery's `inspect stats`), whose answers are waited for for a second.",
        epilog="exit status: 0 the broker answered; 1 it did not; 2 wrong arguments. "
        "Ctrl-C ends --watch.",
    )
    _add_app(status)
    status.add_argument(
        "--timeout",
        type=duration,
        default=1.0,
        metavar="SECONDS",
        help="for an answer of the broker, and to wait for answers of workers (default: 1)",
    )
    status.add_argument(
        "--no-workers", action="store_true", help="queues alone: nothing is broadcast"
    )
    status.add_argument(
        "--watch",
        type=duration,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="look again after so many seconds (without a number: 2), until Ctrl-C",
    )
    status.add_argument(
        "--json", action="store_true", help="print JSON, for machines; one line each time"
    )


def _monitor(commands: Commands) -> None:
    monitor = commands.add_parser(
        "monitor",
        help="read the queues where no worker does, and export what they say",
        description="Read the queues of a broker as a worker does, with the same metrics, and "
        "export them as the OTEL_* variables say. Also while no worker is up. "
        "Workers then run with OTEL_CELERY_QUEUE_INTERVAL=0.",
        epilog="exit status: 0 stopped by SIGTERM or Ctrl-C, after a last export; "
        "1 it cannot start; 2 wrong arguments.",
    )
    _add_app(monitor)
    monitor.add_argument(
        "--interval",
        type=duration,
        metavar="SECONDS",
        help="between two readings (default: OTEL_CELERY_QUEUE_INTERVAL unless that is 0, else 15)",
    )
    monitor.add_argument(
        "--heartbeat",
        action="append",
        default=[],
        metavar="NODENAME",
        help="listen for this worker, which is not instrumented; may be given several times",
    )


def _add_app(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-A", "--app", default="", metavar="PROJ", help="the app, as `celery -A` takes it"
    )
    command.add_argument(
        "-b",
        "--broker",
        default="",
        metavar="URL",
        help="instead of an app, or of its broker. CELERY_BROKER_URL says the same, and hides its "
        "password from the list of processes",
    )
    command.add_argument(
        "-Q",
        "--queue",
        action="append",
        default=[],
        metavar="NAME",
        help="besides those of the app; may be given several times",
    )


def duration(text: str) -> float:
    expected = argparse.ArgumentTypeError("expected seconds above 0, at most a day")
    try:
        number = float(text)
    except ValueError:
        raise expected from None
    if not 0 < number <= 86400:
        raise expected
    return number


def depth(text: str) -> tuple[str, int]:
    """Return a queue, `*` for every one, and a number of messages."""
    queue, _, number = text.rpartition("=")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError("expected a number of messages, or queue=number")
    return queue or "*", int(number)


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("expected a port, 0 to 65535")
    return int(text)


def url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError("expected a URL such as http://127.0.0.1:4318")
    return text
