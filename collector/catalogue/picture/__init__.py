"""What does a dashboard look like with data?

Grafana is not needed: the panels of a dashboard's JSON are asked of a Prometheus and drawn. The
picture shows what is asked and where it stands, not each detail of how Grafana draws it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from collector.catalogue.asking import Prometheus
from collector.catalogue.dashboards.model import Json
from collector.catalogue.dashboards.queries import queries
from collector.catalogue.picture.answers import Answer
from collector.catalogue.picture.charts import draw

COLUMN, LINE = 0.56, 0.36  # inches that one cell of Grafana's grid is wide and high
HEAD = 0.62
POINTS = 100
LEGEND_LINES = 0.62
NOTE = (
    "Drawn from the dashboard's JSON and the answers of a Prometheus. Grafana's own look differs."
)

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "otel-celery",  # the same picture has the same bytes
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
}


def picture(dashboard: Json, prometheus: Prometheus, end: float, seconds: float) -> str:
    """Return a dashboard as SVG.

    Args:
        dashboard: its JSON.
        prometheus: who answers.
        end: the last moment shown, Unix seconds.
        seconds: how much time is shown.
    """
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    width, height = 24 * COLUMN, rows * LINE + HEAD
    answers = _answers(dashboard, prometheus, end, seconds)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), facecolor="#f4f5f7")
        FigureCanvasSVG(figure)
        figure.text(0.006, 1 - 0.3 / height, dashboard["title"], fontsize=15, fontweight="bold",
                    color="#212529")  # fmt: skip
        figure.text(0.994, 1 - 0.3 / height, NOTE, fontsize=8, color="#868e96", ha="right")
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            box = (
                place["x"] * COLUMN,
                height - HEAD - (place["y"] + place["h"]) * LINE,
                place["w"] * COLUMN,
                place["h"] * LINE,
            )
            if panel["type"] == "row":
                figure.text((box[0] + 0.1) / width, (box[1] + 0.08) / height, panel["title"],
                            fontsize=11, fontweight="bold", color="#343a40")  # fmt: skip
            else:
                _panel(figure, panel, box, answers.get(panel["title"], []))
        out = io.StringIO()
        figure.savefig(out, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _answers(
    dashboard: Json, prometheus: Prometheus, end: float, seconds: float
) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for asked in queries(dashboard, shown=f"{seconds:.0f}s"):
        series = (
            prometheus.over(asked.expr, end - seconds, end, seconds / POINTS)
            if asked.over_time
            else prometheus.now(asked.expr, end)
        )
        found.setdefault(asked.panel, []).append(Answer(asked.letter, asked.legend, series))
    return found


def _panel(
    figure: Figure, panel: Json, box: tuple[float, float, float, float], answers: list[Answer]
) -> None:
    width, height = figure.get_size_inches()
    left, bottom, wide, high = box
    figure.add_artist(
        FancyBboxPatch(
            ((left + 0.04) / width, (bottom + 0.04) / height),
            (wide - 0.08) / width,
            (high - 0.08) / height,
            boxstyle="square,pad=0",
            transform=figure.transFigure,
            facecolor="white",
            edgecolor="#dee2e6",
            lw=0.8,
            zorder=-1,
        )
    )
    figure.text((left + 0.14) / width, (bottom + high - 0.25) / height, panel["title"],
                fontsize=9, fontweight="bold", color="#343a40")  # fmt: skip
    inset = list(_inset(panel["type"]))
    axes = figure.add_axes((
        (left + inset[0]) / width,
        (bottom + inset[1]) / height,
        (wide - inset[0] - inset[2]) / width,
        (high - inset[1] - 0.4) / height,
    ))  # fmt: skip
    draw(axes, panel, answers)


def _inset(kind: str) -> Iterator[float]:
    """Yield the room left of, below and right of what is drawn."""
    if kind == "timeseries":
        yield from (0.62, 0.3 + LEGEND_LINES, 0.32)
    elif kind == "heatmap":
        yield from (0.72, 0.32, 0.32)
    elif kind == "piechart":
        yield from (0.18, 0.12, 1.95)
    else:
        yield from (0.18, 0.12, 0.18)
