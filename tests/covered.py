"""Where is what teams ask for, and what proves it? The tables of docs/coverage.md.

What docs/coverage.yaml names is looked up where it stands, and becomes a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from collector.catalogue.dashboards import DASHBOARDS
from collector.catalogue.page import table
from collector.catalogue.prometheus import ALERTS, RECORDINGS
from otel_celery import conventions as c
from otel_celery.settings import rows as settings

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "coverage.yaml"
GUIDES = {
    "A": "Flower and Prometheus side by side",
    "B": "Monitoring and health checks",
    "C": "Workers, with dashboards and alerts",
    "D": "Flower, from first start to production",
    "E": "Django in containers",
}
IS = ("covered", "partly", "planned", "no")

METRICS = {metric.name for metric in c.METRICS}
ATTRIBUTES = {name for names in c.SPAN_ATTRIBUTES.values() for name in names}
ALERT_NAMES = {alert.name for alerts in ALERTS.values() for alert in alerts}
RULES = {rule.name for rule in RECORDINGS}
VARIABLES = {item.metadata["var"] for item in settings()}
PANELS = {
    f"{board.title.removeprefix('Celery / ')} / {title}"
    for board in DASHBOARDS
    for row in board.rows
    for title in (row.title, *(panel.title for panel in row.panels))
}
COMMANDS = {
    "otel-celery view": "view.md",
    "otel-celery health": "health.md",
    "otel-celery monitor": "monitor.md",
    "otel-celery status": "status.md",
    "make demo": "../README.md",
    "make stack": "pipeline.md",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One thing that teams ask for."""

    id: str
    asks: str
    is_: str
    how: str
    see: tuple[str, ...]
    proof: tuple[str, ...]


def asked() -> Iterator[Asked]:
    for id_, row in yaml.safe_load(DATA.read_text()).items():
        see, proof = tuple(row.pop("see", ())), tuple(row.pop("proof", ()))
        yield Asked(id=id_, is_=row.pop("is"), how=row.pop("how", ""), see=see, proof=proof, **row)


def link(name: str) -> str:
    """Return where a name of the data leads to.

    Raises:
        KeyError: there is nothing of that name.
    """
    board, _, panel = name.partition(" / ")
    file, _, anchor = name.partition("#")
    if name in METRICS:
        return f"[`{name}`](metrics.md)"
    if name in ATTRIBUTES:
        return f"[`{name}`](spans.md#attributes)"
    if name in ALERT_NAMES:
        return f"[{name}](runbooks.md#{name.lower()})"
    if name in RULES:
        return f"[`{name}`](alerts.md#recording-rules)"
    if name in VARIABLES:
        return f"[`{name}`](settings.md#ours)"
    if name in PANELS:
        return f"[{board}: {panel}](dashboards.md#{board.lower().replace(' ', '-')})"
    if name in COMMANDS:
        return f"[`{name}`]({COMMANDS[name]})"
    if name.startswith("file:") and (ROOT / name[5:]).is_file():
        return f"[{Path(name).name}](../{name[5:]})"
    if file.endswith(".md") and (DATA.parent / file).is_file():
        words = f"{file[:-3]}: {anchor}" if anchor else file[:-3]
        return f"[{words.replace('-', ' ')}]({name})"
    raise KeyError(name)


def shown(proof: str) -> str:
    """Return the link to a test: its name without the `test_` that all have.

    Raises:
        KeyError: there is no such test.
    """
    file, _, name = proof.partition("::")
    path = ROOT / "tests" / file
    if not (path.is_file() and re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE)):
        raise KeyError(proof)
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../tests/{file})"


def page(guide: str) -> str:
    """Return where the things are that one guide asks for."""
    found = (one for one in asked() if one.id.startswith(guide))
    return table(("id", "asked for", "", "where", "shown by"), map(row, found))


def row(one: Asked) -> tuple[str, ...]:
    where = " ".join(filter(None, (one.how, ", ".join(map(link, one.see)))))
    return one.id, one.asks, one.is_, where, "; ".join(map(shown, one.proof))


def in_short() -> str:
    """Return how much is covered, partly so, and not."""
    all_of_them = [one.is_ for one in asked()]
    return table(IS, [[str(all_of_them.count(word)) for word in IS]])


TABLES = {
    "coverage-in-short": in_short,
    **{f"coverage-{guide.lower()}": partial(page, guide) for guide in GUIDES},
}
