"""What does the demo's screen look like? Draws `docs/demo.svg` from a run of the demo."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from otel_celery.cli.broker import private_broker
from otel_celery.cli.day import Day, Interrupts
from otel_celery.cli.ledger import build_ledger
from otel_celery.cli.receiver import Receiver
from otel_celery.cli.screen import View, draw
from otel_celery.cli.stage import Stage, build_environ, find_shop, send_here
from otel_celery.view.store import Store

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "demo.svg"
SECONDS = 15.0
COLUMNS = 100


class Camera:
    """A show that keeps the last moment of selling at which nothing was on its way to us."""

    def __init__(self, remarks: Sequence[str], store: Store) -> None:
        self._remarks, self._store = remarks, store
        self.view: View | None = None

    def tell(self, phase: str, detail: str) -> None:
        view = View(f"{phase}: {detail}", self._remarks, self._store.snapshot(), time.time())
        if phase == "selling" and build_ledger(view.snapshot, view.now).holds:
            self.view = view


def take() -> View:
    """Run the demo and return what stood on its screen."""
    store = Store()
    with (
        tempfile.TemporaryDirectory(prefix="shop-") as name,
        private_broker(Path(name), os.environ) as broker,
        Receiver(store) as receiver,
    ):
        camera = Camera([broker.remark], store)
        environ = build_environ(send_here(os.environ, receiver.endpoint), broker, find_shop())
        Day(Stage(Path(name), environ, broker), camera, Interrupts(), store).run(SECONDS)
    if camera.view is None:
        sys.exit("picture: the ledger never closed while the shop was open; try again")
    return camera.view


def develop(view: View) -> str:
    """Return the picture, which asks for no font from anywhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(draw(view, COLUMNS))
    svg = console.export_svg(title="make demo", unique_id="demo")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    PICTURE.write_text(develop(take()))
    print(f"wrote {PICTURE}, {PICTURE.stat().st_size // 1024} KB")
