"""How is each kind of panel drawn?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Wedge
from matplotlib.ticker import FuncFormatter, MaxNLocator

from collector.catalogue.asking import Series
from collector.catalogue.dashboards.model import Json
from collector.catalogue.picture import words
from collector.catalogue.picture.answers import GREY, Answer, cell, table_of

PALE = "#e9ecef"
IN_LEGEND = 6
LETTERS = 17  # of the legend's size to an inch


def draw(axes: Axes, panel: Json, answers: Sequence[Answer]) -> None:
    """Draw a panel's answers, or say that there are none."""
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    if not any(answer.series for answer in answers):
        _blank(axes)
        said = "No data" if answers else "Asked of Jaeger: not in this picture"
        axes.text(0.5, 0.5, said, ha="center", va="center", color="#868e96", fontsize=9)
        return
    KINDS[panel["type"]](axes, panel, answers)


def _blank(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def _all(answers: Sequence[Answer]) -> list[tuple[str, Series]]:
    return [pair for answer in answers for pair in answer.named()]


def _timeseries(axes: Axes, panel: Json, answers: Sequence[Answer]) -> None:
    shown, unit = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["defaults"]["unit"]
    named = sorted(_all(answers), key=lambda pair: pair[0])
    tones = list(zip(named, itertools.cycle(words.LINES), strict=False))
    if shown["custom"]["stacking"]["mode"] == "normal":
        moments = sorted({at for _, one in named for at, _ in one.points})
        rows = [[dict(one.points).get(at, 0.0) for at in moments] for _, one in named]
        axes.stackplot(moments, rows, colors=[tone for _, tone in tones], alpha=0.65)
    else:
        for (_, one), tone in tones:
            points = _with_gaps(one.points)
            mark = "o" if len(points) < 3 else ""
            axes.plot(*zip(*points, strict=True), color=tone, lw=1.3, marker=mark, ms=3)
    _axis(axes, unit, shown.get("min"), shown.get("max"))
    _limits(axes, shown["thresholds"])
    _names(axes, [(name, one.last, tone) for (name, one), tone in _largest(tones)], unit)
    if len(tones) > IN_LEGEND:
        axes.annotate(f"and {len(tones) - IN_LEGEND} more", (1, 1), (0, 9), ha="right",
                      xycoords="axes fraction", textcoords="offset points", fontsize=6.5,
                      color="#868e96")  # fmt: skip


def _with_gaps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Break the line where a value was missing, as Grafana does."""
    step = min((b - a for (a, _), (b, _) in itertools.pairwise(points)), default=0.0)
    broken = list(points[:1])
    for (before, _), point in itertools.pairwise(points):
        if point[0] - before > 1.5 * step:
            broken.append((before + step, math.nan))
        broken.append(point)
    return [(at, value if math.isfinite(value) else math.nan) for at, value in broken]


Tones = Sequence[tuple[tuple[str, Series], str]]


def _largest(tones: Tones) -> Tones:
    return sorted(tones, key=lambda item: -_size(item[0][1]))[:IN_LEGEND]


def _names(axes: Axes, lines: Sequence[tuple[str, float, str]], unit: str) -> None:
    """Write the legend, in two columns below the lines."""
    whole = axes.get_figure(root=True)
    assert whole is not None
    width = axes.get_position().width * whole.get_size_inches()[0]
    letters = int(width / 2 * LETTERS) - 2
    for place, (name, last, tone) in enumerate(lines):
        across, down = 0.5 * (place % 2), -24 - 11 * (place // 2)
        said = words.value(last, unit)
        text = f"{words.cut(name, letters - len(said) - 2)}  {said}"
        for mark, shift, ink in (("■", 0, tone), (text, 9, GREY)):
            axes.annotate(mark, (across, 0), (shift, down), xycoords="axes fraction",
                          textcoords="offset points", color=ink, fontsize=7)  # fmt: skip


def _size(one: Series) -> float:
    return max((number for _, number in one.points if math.isfinite(number)), default=0.0)


def _axis(axes: Axes, unit: str, low: float | None, high: float | None) -> None:
    if axes.get_ylim()[0] > 0 or low is not None:
        axes.set_ylim(bottom=low or 0)
    if high is not None:
        axes.set_ylim(top=high * 1.02)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: words.value(number, unit)))
    axes.xaxis.set_major_locator(MaxNLocator(4, prune="lower"))
    axes.xaxis.set_major_formatter(FuncFormatter(_clock))
    axes.tick_params(labelsize=7, colors=GREY, length=0)
    axes.grid(color=PALE, lw=0.6)
    axes.set_axisbelow(True)


def _clock(at: float, _: object) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%H:%M:%S")


def _limits(axes: Axes, thresholds: Json) -> None:
    low, high = axes.get_ylim()
    for step in thresholds["steps"][1:]:
        if low <= step["value"] <= high:
            axes.axhline(step["value"], color=words.COLORS[step["color"]], lw=0.8, ls="--")


def _stat(axes: Axes, panel: Json, answers: Sequence[Answer]) -> None:
    _blank(axes)
    shown = panel["fieldConfig"]["defaults"]
    text, tone = cell(_all(answers)[0][1].last, shown)
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=24, fontweight="bold", color=tone)


def _gauge(axes: Axes, panel: Json, answers: Sequence[Answer]) -> None:
    _blank(axes)
    shown = panel["fieldConfig"]["defaults"]
    number = _all(answers)[0][1].last
    part = min(max((number - shown["min"]) / (shown["max"] - shown["min"]), 0), 1)
    tone = words.color(number, shown["thresholds"])
    axes.add_patch(Wedge((0, 0), 1, -20, 200, width=0.24, color=PALE))
    axes.add_patch(Wedge((0, 0), 1, 200 - 220 * part, 200, width=0.24, color=tone))
    axes.text(0, 0.05, words.value(number, shown["unit"]), ha="center", va="center", fontsize=20,
              fontweight="bold", color=tone)  # fmt: skip
    axes.set_xlim(-1.1, 1.1)
    axes.set_ylim(-0.5, 1.1)
    axes.set_aspect("equal")


def _bargauge(axes: Axes, panel: Json, answers: Sequence[Answer]) -> None:
    _blank(axes)
    shown = panel["fieldConfig"]["defaults"]
    named = sorted(_all(answers), key=lambda pair: -pair[1].last)[:10]
    most = shown.get("max") or max(one.last for _, one in named) or 1
    for row, (name, one) in enumerate(named):
        tone = words.color(one.last, shown["thresholds"])
        axes.barh(row, most, height=0.5, left=0, color=PALE)
        axes.barh(row, min(one.last, most), height=0.5, color=tone)
        axes.text(0, row - 0.32, words.cut(name, 40), fontsize=7.5, color=GREY, va="bottom")
        axes.text(most * 1.02, row, words.value(one.last, shown["unit"]), fontsize=9,
                  fontweight="bold", color=tone, va="center")  # fmt: skip
    axes.set_xlim(0, most * 1.25)
    axes.set_ylim(max(len(named), 4) - 0.4, -0.7)


def _piechart(axes: Axes, panel: Json, answers: Sequence[Answer]) -> None:
    _blank(axes)
    named = sorted(_all(answers), key=lambda pair: -pair[1].last)
    named = [(name, one) for name, one in named if one.last > 0]
    total = sum(one.last for _, one in named) or 1
    axes.set_anchor("W")
    axes.pie([one.last for _, one in named], colors=words.LINES, startangle=90, counterclock=False,
             wedgeprops={"width": 0.35})  # fmt: skip
    for row, ((name, one), tone) in enumerate(
        zip(named, itertools.cycle(words.LINES), strict=False)
    ):
        y = 0.95 - 0.12 * row
        text = f"{name or 'none'}  {words.value(one.last, 'short')}  {one.last / total:.1%}"
        axes.annotate("■", (1.04, y), xycoords="axes fraction", color=tone, fontsize=8)
        axes.annotate(text, (1.13, y), xycoords="axes fraction", color=GREY, fontsize=7.5)


def _heatmap(axes: Axes, panel: Json, answers: Sequence[Answer]) -> None:
    """Buckets are cumulative: a cell is the difference to the one below."""
    rows = sorted(answers[0].series, key=lambda one: float(one.labels["le"]))
    moments = sorted({at for one in rows for at, _ in one.points})
    table = np.array([[dict(one.points).get(at, 0.0) for at in moments] for one in rows])
    cells = np.diff(table, axis=0, prepend=0).clip(min=0)
    used = np.flatnonzero(cells.sum(axis=1))
    top = int(used.max()) + 1 if len(used) else 1
    masked = np.ma.masked_equal(cells[:top], 0)
    axes.pcolormesh(
        _edges(moments), np.arange(top + 1), masked, cmap="Blues", vmin=0, rasterized=True
    )
    bounds = ["∞" if one.labels["le"] == "+Inf" else words.value(float(one.labels["le"]), "s")
              for one in rows[:top]]  # fmt: skip
    axes.set_yticks(np.arange(1, top + 1), bounds)
    axes.xaxis.set_major_locator(MaxNLocator(4, prune="lower"))
    axes.xaxis.set_major_formatter(FuncFormatter(_clock))
    axes.tick_params(labelsize=7, colors=GREY, length=0)


def _edges(moments: Sequence[float]) -> list[float]:
    step = moments[1] - moments[0] if len(moments) > 1 else 1.0
    return [moments[0] - step, *moments]


def _table(axes: Axes, panel: Json, answers: Sequence[Answer]) -> None:
    _blank(axes)
    columns, rows = table_of(panel, answers)
    room = int(panel["gridPos"]["h"] * 1.5) - 2
    widths = np.array([
        max([len(title), *(len(words.cut(row[at][0], 30)) for row in rows)]) + 2
        for at, title in enumerate(columns)
    ])  # fmt: skip
    lefts = np.concatenate([[0], np.cumsum(widths)[:-1]]) / widths.sum()
    step = 1 / (room + 1)
    for left, title in zip(lefts, columns, strict=True):
        axes.text(left, 1 - step / 2, title, fontsize=7.5, fontweight="bold", color="#1c7ed6",
                  va="center")  # fmt: skip
    for place, row in enumerate(rows[:room]):
        y = 1 - step * (place + 1.5)
        axes.axhline(y + step / 2, color=PALE, lw=0.6)
        for left, (text, tone) in zip(lefts, row, strict=True):
            axes.text(left, y, words.cut(text, 30), fontsize=7.5, color=tone, va="center")
    if len(rows) > room:
        axes.text(1, 0, f"and {len(rows) - room} more", fontsize=6.5, color="#868e96", ha="right")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


KINDS: dict[str, Callable[[Axes, Json, Sequence[Answer]], None]] = {
    "timeseries": _timeseries,
    "stat": _stat,
    "gauge": _gauge,
    "bargauge": _bargauge,
    "piechart": _piechart,
    "heatmap": _heatmap,
    "table": _table,
}
