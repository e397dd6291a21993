"""Has hooks of ours raise: `break_hooks("early publish,ended")`, or `late *` for all of them.

A hook that is broken early does not do its work, one that is broken late has done it. Each time is
noted in the file BROKEN_NOTES, as a line with the hook and the process.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Any

from otel_celery.guard import Guard


def break_hooks(said: str) -> None:
    """Break what is wrapped from now on."""
    when, _, names = said.partition(" ")
    chosen = set(names.split(","))
    secret = json.loads(os.environ.get("CANARIES", "{}")).get("exception", "")
    notes = os.open(os.environ["BROKEN_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    keep = Guard.__call__

    def wrap(guard: Guard, hook: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        if "*" not in chosen and hook not in chosen:
            return keep(guard, hook, handler)

        @functools.wraps(handler)
        def broken(*args: Any, **options: Any) -> Any:
            if when == "late":
                handler(*args, **options)
            os.write(notes, f"{os.getpid()} {hook}\n".encode())
            raise RuntimeError(f"broken at amqp://me:{secret}@host//")

        return keep(guard, hook, broken)

    Guard.__call__ = wrap  # type: ignore[method-assign]
