"""How does one day of the shop go, from its opening to its accounts?"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType

from otel_celery.cli.ledger import build_ledger
from otel_celery.cli.processes import Program
from otel_celery.cli.show import Show
from otel_celery.cli.stage import DemoFault, Stage
from otel_celery.view.store import Store

TICK = 0.1
OPENING_SECONDS = 30.0
DRAIN_SECONDS = 30.0
CLOSING_SECONDS = 40.0  # what hangs for ten seconds may do so twice in one process
UNTIL_STOPPED = 86400.0
"""Seconds of selling that stand for: until somebody asks to end."""


class Interrupted(Exception):
    """Somebody asked twice to end."""


class Interrupts:
    """Ctrl-C and its like: the first means "in order", the second "at once"."""

    def __init__(self) -> None:
        self.count = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        signs = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {sign: signal.signal(sign, self.note) for sign in signs}
        try:
            yield
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)


class Day:
    """One day of the shop.

    Args:
        stage: starts the programs.
        show: tells people.
        interrupts: what people tell us.
        store: what our receiver fills; None when the telemetry goes elsewhere.
    """

    def __init__(
        self, stage: Stage, show: Show, interrupts: Interrupts, store: Store | None
    ) -> None:
        self._stage = stage
        self._show = show
        self._interrupts = interrupts
        self._store = store
        self._running: list[Program] = []

    def run(self, seconds: float) -> tuple[float, Mapping[str, int]]:
        """Open, sell for some seconds, let everything come to rest, close.

        Returns:
            When the worker was asked to stop (Unix seconds), and the exit statuses.

        Raises:
            DemoFault: a program ended too early, was never ready, or did not stop.
            Interrupted: somebody asked twice to end.
        """
        with ExitStack() as cleanup:
            for start in (self._stage.worker, self._stage.beat, self._stage.web):
                self._running.append(cleanup.enter_context(start()))
            worker, beat, web = self._running
            for program in self._running:
                if not self._wait("opening the shop", OPENING_SECONDS, program.is_ready):
                    raise fault(program, f"is not ready after {OPENING_SECONDS:.0f} s")
            self._wait("selling", seconds, lambda: self._interrupts.count > 0)

            self._running = [worker]
            exits = self._stop("closing the doors", web, beat)
            if self._store is not None:
                self._wait("waiting until nothing waits", DRAIN_SECONDS, self._at_rest)
            stopped_at = time.time()
            self._running = []
            return stopped_at, exits | self._stop("stopping the worker", worker)

    def _at_rest(self) -> bool:
        assert self._store is not None
        return build_ledger(self._store.snapshot(), time.time()).at_rest

    def _stop(self, phase: str, *programs: Program) -> dict[str, int]:
        for program in programs:
            program.ask_to_stop()
        self._wait(phase, CLOSING_SECONDS, lambda: all(p.status is not None for p in programs))
        exits = {}
        for program in programs:
            if program.status is None:
                program.abort()
                raise fault(program, f"did not stop in {CLOSING_SECONDS:.0f} s")
            exits[program.name] = program.status
        return exits

    def _wait(self, phase: str, seconds: float, done: Callable[[], bool]) -> bool:
        """Tell people about a phase until it is done or its time is up; return whether done."""
        begin = time.monotonic()
        while (spent := time.monotonic() - begin) < seconds:
            if self._interrupts.count > 1:
                raise Interrupted
            for program in self._running:
                if program.status is not None:
                    raise fault(program, f"ended with {program.status}")
            if done():
                return True
            most = "" if seconds == UNTIL_STOPPED else f" of at most {seconds:.0f}"
            self._show.tell(phase, f"{spent:.0f}{most} s")
            time.sleep(TICK)
        return done()


def fault(program: Program, what: str) -> DemoFault:
    return DemoFault(f"{program.name} {what}; its last lines:\n{program.last_words()}")
