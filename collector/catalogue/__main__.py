"""Which files are written from the catalogue? Run as a program, this writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from collector.catalogue import prometheus
from collector.catalogue.dashboards import DASHBOARDS, dashboard_file
from collector.catalogue.migration.page import migration_page
from collector.catalogue.page import alerts_page

HERE = Path(__file__).resolve().parents[1]

FILES: dict[str, Callable[[], str]] = {
    **prometheus.FILES,
    "../docs/alerts.md": alerts_page,
    "../docs/migrate/flower-and-celery-exporter.md": migration_page,
    **{f"grafana/dashboards/{d.name}.json": partial(dashboard_file, d) for d in DASHBOARDS},
}
"""Path below `collector/` -> what it holds. One line for each kind of file that is generated."""


def stale() -> list[Path]:
    """Return the files that are not what the catalogue says."""
    return [
        HERE / name
        for name, text in FILES.items()
        if not (HERE / name).is_file() or (HERE / name).read_text() != text()
    ]


def write() -> None:
    for path in stale():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[path.relative_to(HERE).as_posix()]())
        print(f"written: {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    write()
