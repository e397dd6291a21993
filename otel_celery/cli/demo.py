"""What does `otel-celery demo` run, and what does it print at the end?"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from otel_celery.cli.broker import private_broker
from otel_celery.cli.day import Day, Interrupted, Interrupts
from otel_celery.cli.receiver import Receiver
from otel_celery.cli.show import LiveShow, PlainShow, need_rich, print_last_screen
from otel_celery.cli.stage import Stage, build_environ, find_shop, send_here, send_there
from otel_celery.cli.verdict import Verdict, judge, judge_exits, report
from otel_celery.cli.view import load_server
from otel_celery.view.store import Store

OK, FAILED, INTERRUPTED = 0, 1, 130


def run_demo(
    seconds: float, otlp: str, as_json: bool, environ: Mapping[str, str], *, view: bool = False
) -> int:
    """Run the shop, print what came of it, and return the exit status.

    Args:
        seconds: how long customers order.
        otlp: base URL of a Collector; empty: a receiver of our own, which alone can judge.
        as_json: one JSON object on standard output, progress on standard error.
        environ: the person's variables.
        view: show it on the page instead of in the terminal.

    Raises:
        OtelCeleryError: it cannot start, or a program of the shop ended too early.
    """
    live = sys.stdout.isatty() and not (as_json or otlp or view)
    if not (as_json or otlp or view):
        need_rich()
    shop, store, interrupts = find_shop(), Store(), Interrupts()
    with ExitStack() as cleanup:
        cleanup.enter_context(interrupts.listening())
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="shop-")))
        broker = cleanup.enter_context(private_broker(folder, environ))
        if otlp:
            environ = send_there(environ, otlp)
            remarks = [broker.remark, f"telemetry: to {otlp}; here only exit statuses are judged"]
        elif view:
            server = cleanup.enter_context(load_server()(store))
            environ = send_here(environ, server.endpoint)
            remarks = [broker.remark, f"open {server.endpoint}, Ctrl-C here closes the shop"]
        else:
            receiver = cleanup.enter_context(Receiver(store))
            environ = send_here(environ, receiver.endpoint)
            remarks = [broker.remark, f"telemetry: to this process, {receiver.endpoint}"]
        show: AbstractContextManager[LiveShow | PlainShow] = (
            LiveShow(remarks, store.snapshot)
            if live
            else PlainShow(sys.stderr if as_json else sys.stdout, remarks)
        )
        stage = Stage(folder, build_environ(environ, broker, shop), broker)
        try:
            with show as told:
                stopped_at, exits = Day(stage, told, interrupts, None if otlp else store).run(
                    seconds
                )
        except Interrupted:
            print("otel-celery demo: stopped at once, nothing was judged", file=sys.stderr)
            return INTERRUPTED

    snapshot = store.snapshot()
    verdict = judge_exits(exits) if otlp else judge(snapshot, stopped_at, exits)
    if as_json:
        print(json.dumps(report(snapshot, stopped_at, verdict, broker.name), indent=2))
    elif not (otlp or view):
        print_last_screen(remarks, snapshot, stopped_at)
    for gap in verdict.missing:
        print(f"otel-celery demo: {gap}", file=sys.stderr)
    if verdict.ok and not as_json:
        print(praise(verdict, otlp))
    return OK if verdict.ok else FAILED


def praise(verdict: Verdict, otlp: str) -> str:
    if otlp:
        return f"All programs ended well; look at your Collector, {otlp}, for what they told."
    return f"The ledger holds, and {verdict.complete_traces} complete traces were seen."
