"""How often is something tried that shows its faults only now and then?

FAULTS=full tries it as often as the page in the docs promises, FAULTS=0.3 that part of it; unset,
often enough to see that it works.
"""

from __future__ import annotations

import os


def many(usual: int, full: int) -> int:
    """Return how often to try: `usual`, or what FAULTS asks for of `full`."""
    asked = os.environ.get("FAULTS", "")
    if not asked:
        return usual
    return full if asked == "full" else max(1, round(full * float(asked)))
