"""How is a value written, and which colour has it?"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

COLORS = {"green": "#2f9e44", "yellow": "#e8a317", "red": "#d6336c", "blue": "#1c7ed6"}
LINES = (
    "#1c7ed6", "#2f9e44", "#e8590c", "#9c36b5", "#d6336c", "#0c8599",
    "#e8a317", "#5c940d", "#5f3dc4", "#868e96", "#a61e4d", "#495057",
)  # fmt: skip
_LABEL = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"), (1e-6, "us"))
_BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_SHORT = ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"))


def value(number: float, unit: str) -> str:
    """Return a number in Grafana's units, of which ours are few."""
    if math.isnan(number):
        return "-"
    if math.isinf(number):
        return "∞"
    if unit == "percentunit":
        return f"{number * 100:.3g} %"
    if unit == "s":
        return _scaled(number, _TIMES, "s")
    if unit == "bytes":
        return _scaled(number, _BYTES, "B")
    if unit in ("ops", "cps"):
        return f"{number:.3g}/s"
    return _scaled(number, _SHORT, "").replace(" ", " ", 1)


def _scaled(number: float, scale: Sequence[tuple[float, str]], smallest: str) -> str:
    for size, name in scale:
        if abs(number) >= size:
            return f"{number / size:.3g} {name.strip()}".strip()
    return f"{number:.3g} {smallest}".strip()


def color(number: float, thresholds: Mapping[str, Any]) -> str:
    """Return the colour of the last step that a value has reached."""
    chosen = "blue"
    for step in thresholds["steps"]:
        if step["value"] is None or number >= step["value"]:
            chosen = step["color"]
    return COLORS[chosen]


def legend(template: str, labels: Mapping[str, str]) -> str:
    """Return what a series is called."""
    if template == "__auto":
        return ", ".join(v for k, v in labels.items() if k != "__name__") or "value"
    return _LABEL.sub(lambda found: labels.get(found[1], ""), template).strip()


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
