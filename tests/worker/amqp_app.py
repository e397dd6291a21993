"""The cases app with a task whose first delivery lasts until it is released."""

from __future__ import annotations

import time
from typing import Any

from shop_of_cases import app, mark

SECONDS = 30.0


@app.task(bind=True, acks_late=True)
def held(self: Any) -> bool:
    """Return at once when delivered again, else when `released` is marked."""
    redelivered: bool = self.request.delivery_info["redelivered"]
    if not redelivered:
        mark("started", self)
        end = time.monotonic() + SECONDS
        while not app.backend.client.exists("mark:released"):
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.02)
    return redelivered
