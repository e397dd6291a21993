"""How does the demo tell how far it is: live in a terminal, or in plain lines?"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, TextIO

from otel_celery.errors import MissingExtra
from otel_celery.view.records import Snapshot

try:
    from rich.console import Console
    from rich.live import Live

    from otel_celery.cli.screen import View, draw
except ImportError:
    HAS_RICH = False
else:
    HAS_RICH = True

PLAIN_WIDTH = 120
PLAIN_PAUSE = 5.0
LIVE_PAUSE = 0.25


class Show(Protocol):
    """Told several times a second what is going on."""

    def tell(self, phase: str, detail: str) -> None: ...


class PlainShow:
    """Lines for a log: the remarks, each phase, and a sign of life every five seconds."""

    def __init__(
        self, out: TextIO, remarks: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._remarks = remarks
        self._clock = clock
        self._phase = ""
        self._told_at = 0.0

    def tell(self, phase: str, detail: str) -> None:
        now = self._clock()
        if phase != self._phase or now - self._told_at >= PLAIN_PAUSE:
            self._phase, self._told_at = phase, now
            self._print(f"{phase}: {detail}")

    def _print(self, line: str) -> None:
        print(f"otel-celery demo: {line}", file=self._out, flush=True)

    def __enter__(self) -> PlainShow:
        for remark in self._remarks:
            self._print(remark)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to put right."""


class LiveShow:
    """The screen, drawn anew four times a second."""

    def __init__(self, remarks: Sequence[str], look: Callable[[], Snapshot]) -> None:
        need_rich()
        self._remarks = remarks
        self._look = look
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._drawn_at = 0.0

    def tell(self, phase: str, detail: str) -> None:
        if time.monotonic() - self._drawn_at < LIVE_PAUSE:
            return
        self._drawn_at = time.monotonic()
        view = View(f"{phase}: {detail}, Ctrl-C ends it", self._remarks, self._look(), time.time())
        size = self._console.size
        self._live.update(draw(view, size.width, size.height), refresh=True)

    def __enter__(self) -> LiveShow:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()


def print_last_screen(remarks: Sequence[str], snapshot: Snapshot, at: float) -> None:
    """Print the whole screen once, to stay."""
    need_rich()
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    console.print(draw(View("closed", remarks, snapshot, at), console.width))


def need_rich() -> None:
    """Raise unless the screen can be drawn.

    Raises:
        MissingExtra: rich is not installed.
    """
    if not HAS_RICH:
        raise MissingExtra(
            "the screen needs rich: pip install 'otel-celery[demo]', or ask for --json"
        )
