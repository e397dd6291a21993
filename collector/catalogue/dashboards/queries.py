"""What does a dashboard ask of Prometheus? Read from its JSON, as Grafana would."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.catalogue.dashboards.model import Json

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")

EVERYTHING: Mapping[str, str] = dict.fromkeys(("job", "task", "queue", "worker"), ".+")
"""What a dashboard's own variables stand for as long as nobody chooses."""


@dataclass(frozen=True)
class Asked:
    """One query of one panel, with its variables filled in."""

    panel: str
    expr: str
    legend: str
    over_time: bool
    letter: str


def panels(dashboard: Json) -> Iterator[Json]:
    """Yield the panels without the rows."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def fill(expr: str, values: Mapping[str, str]) -> str:
    """Return a query without variables.

    Raises:
        KeyError: nobody said what one of them is.
    """
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expr)


def queries(
    dashboard: Json, window: str = "2m", shown: str = "5m", values: Mapping[str, str] = EVERYTHING
) -> Iterator[Asked]:
    """Yield every query to Prometheus of every panel.

    Args:
        dashboard: its JSON.
        window: what Grafana takes for a rate; at least four scrapes.
        shown: how much time the dashboard shows.
        values: what was chosen for its variables, as regular expressions.
    """
    known = {**values, "__rate_interval": window, "__range": shown}
    for panel in panels(dashboard):
        for target in panel["targets"]:
            if "expr" in target:
                yield Asked(
                    panel["title"],
                    fill(target["expr"], known),
                    target["legendFormat"],
                    target["range"],
                    target["refId"],
                )
