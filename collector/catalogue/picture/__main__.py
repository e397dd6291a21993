"""Draws every dashboard from a Prometheus that watches something, such as that of `make stack`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from collector.catalogue.asking import Prometheus
from collector.catalogue.dashboards import DASHBOARDS
from collector.catalogue.picture import picture

ROOT = Path(__file__).resolve().parents[3]
PICTURES = ROOT / "docs" / "dashboards"
BOARDS = ROOT / "collector" / "grafana" / "dashboards"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m collector.catalogue.picture")
    parser.add_argument("prometheus", help="its address, as http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=5.0, help="how much time to show")
    parser.add_argument("--to", type=Path, default=PICTURES, help="folder for the pictures")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    end = time.time()
    for dashboard in DASHBOARDS:
        board = json.loads((BOARDS / f"{dashboard.name}.json").read_text())
        path = given.to / f"{dashboard.name}.svg"
        path.write_text(picture(board, Prometheus(given.prometheus), end, given.minutes * 60))
        print(f"wrote {path}, {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
