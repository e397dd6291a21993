"""Draws every dashboard from a shop that runs for some minutes: `make pictures`."""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from collector.catalogue.asking import Prometheus
from collector.catalogue.dashboards import DASHBOARDS
from collector.catalogue.picture import picture
from collector.native.compose import ROOT
from collector.native.stack import NATIVE, Stack

PICTURES = ROOT / "docs" / "dashboards"
BOARDS = ROOT / "collector" / "grafana" / "dashboards"
WARM = 6.0  # minutes until the rates of five minutes are those of the shop


@contextlib.contextmanager
def watched(url: str | None, minutes: float) -> Iterator[str]:
    """Yield the address of a Prometheus that has watched for some minutes."""
    if url:
        yield url
        return
    services = [name for name in NATIVE if name not in ("bugsink", "alertmanager")]
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), services) as stack:
        print(f"the shop is open; pictures in {minutes + WARM:.0f} minutes", flush=True)
        closes = time.monotonic() + (minutes + WARM) * 60
        while time.monotonic() < closes:
            stack.check()
            time.sleep(1)
        yield stack.url("prometheus", 9090)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m collector.catalogue.picture")
    parser.add_argument("--prometheus", help="one that runs, instead of a shop of its own")
    parser.add_argument("--minutes", type=float, default=5.0, help="how much time to show")
    parser.add_argument("--to", type=Path, default=PICTURES, help="folder for the pictures")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    with watched(given.prometheus, given.minutes) as url:
        end = time.time()
        for dashboard in DASHBOARDS:
            board = json.loads((BOARDS / f"{dashboard.name}.json").read_text())
            path = given.to / f"{dashboard.name}.svg"
            path.write_text(picture(board, Prometheus(url), end, given.minutes * 60))
            print(f"wrote {path}, {path.stat().st_size // 1024} KB", flush=True)


if __name__ == "__main__":
    main()
