"""What does a dashboard of ours say?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["timeseries", "stat", "gauge", "bargauge", "table", "heatmap", "piechart"]

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
Steps = tuple[tuple[float | None, str], ...]
CALM: Steps = ((None, BLUE),)
"""For what is neither good nor bad."""


@dataclass(frozen=True)
class Query:
    """One question to Prometheus; with `exemplars`, Grafana asks for those of its series too."""

    expr: str
    legend: str = "__auto"
    exemplars: bool = False


@dataclass(frozen=True)
class Link:
    """Where a click on a value leads; may name the value's labels."""

    title: str
    url: str


@dataclass(frozen=True)
class Column:
    """One column of a table: which field of the answer it shows, and how."""

    field: str
    title: str
    unit: str = "none"
    steps: Steps = ()
    words: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel, of which the description says what to read from it."""

    kind: Kind
    title: str
    says: str
    queries: Sequence[Query] = ()
    searches: Sequence[str] = ()
    """Tags of spans: searches for traces, which need a data source of the kind jaeger."""
    unit: str = "none"
    steps: Steps = CALM
    links: Sequence[Link] = ()
    columns: Sequence[Column] = ()
    words: Mapping[str, str] | None = None
    low: float | None = None
    high: float | None = None
    width: int = 8
    height: int = 8
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """One question, and the panels that answer it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """One page of Grafana; `name` is its file, and with the tag its uid."""

    name: str
    title: str
    says: str
    rows: Sequence[Row]
    variables: Sequence[Json] = ()
