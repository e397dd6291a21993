"""What does one task add to Celery alone, drawn?

`docs/performance.svg`: instructions in each place, all threads together, one bar for each side on a
logarithmic scale, since the sides are orders of magnitude apart. Made from the same results as the
tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks import results
from benchmarks.micro import PLACES
from benchmarks.peers import SIDES

PATH = Path(__file__).resolve().parents[1] / "docs" / "performance.svg"
WIDTH, LEFT, RIGHT, BAR, GAP = 760, 150, 110, 18, 34
LOWEST, HIGHEST = 1e3, 1e7
HEADS = {
    "publish": "publish: instructions one message adds",
    "main": "worker main: instructions one task adds",
    "pool": "pool process: instructions one task adds",
}


def drawn(kept: dict[str, Any]) -> str:
    """Return the picture of the instructions that were counted."""
    shapes = list(_shapes(kept))
    height = GAP * len(PLACES) + BAR * len(PLACES) * (len(kept["sides"]) - 1) + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "".join(shapes) + "</svg>\n"
    )


def _shapes(kept: dict[str, Any]) -> Iterator[str]:
    top = 0
    for place in PLACES:
        found = kept["measured"][place]
        top += GAP
        yield f'<text x="8" y="{top - 10}" font-weight="bold">{HEADS[place]}</text>\n'
        for side in kept["sides"]:
            if side == "bare" or side not in found:
                continue
            extra = found[side]["all"] - found["bare"]["all"]
            colour = "#2563eb" if side == "ours" else "#9ca3af"
            length = _length(extra)
            title = escape(SIDES[side].title)
            yield f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{title}</text>\n'
            yield (
                f'<rect x="{LEFT}" y="{top + 3}" width="{length:.1f}" height="{BAR - 5}" '
                f'fill="{colour}"/>\n'
                f'<text x="{LEFT + length + 6:.1f}" y="{top + 13}">{extra:,.0f}</text>\n'
            )
            top += BAR


def _length(extra: float) -> float:
    """Return how long a bar is; what is under a thousand instructions has none."""
    part = math.log10(max(extra, LOWEST) / LOWEST) / math.log10(HIGHEST / LOWEST)
    return part * (WIDTH - LEFT - RIGHT)


if __name__ == "__main__":
    if (measured := results.kept("instructions")) is not None:
        PATH.write_text(drawn(measured))
