"""Where do faults of ours stop?

Nothing that watches a task may fail, delay or hide it. This is the one place with a broad
`except`: a fault is counted by hook, logged once a minute, and the user's code goes on.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from celery.exceptions import SoftTimeLimitExceeded

from otel_celery.redaction import STACKTRACE_LIMIT, cut, redacted

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("otel_celery")

_QUIET = 60.0  # seconds between two log lines of one hook


class Guard:
    """Keeps faults of ours away from what is being watched."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.faults: Counter[str] = Counter()
        self._logged: dict[str, float] = {}
        self._clock = clock

    def __call__(self, hook: str, handler: Callable[P, R]) -> Callable[P, R | None]:
        """Return `handler`, which from now on gives None instead of raising.

        The task's own alarm (`SoftTimeLimitExceeded`, a plain `Exception`) may ring while we hold
        the line, because a publish runs inside tasks: it passes.
        """

        @functools.wraps(handler)
        def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return handler(*args, **kwargs)
            except SoftTimeLimitExceeded:
                raise
            except Exception as fault:  # noqa: BLE001 - the one place that is allowed to
                self.report(hook, fault)
                return None

        return call

    def per_task(self, hook: str, handler: Callable[..., R]) -> Callable[..., R | None]:
        """Do the same for what is called for each task, at less cost: by position only."""

        @functools.wraps(handler)
        def call(*args: Any) -> R | None:
            try:
                return handler(*args)
            except SoftTimeLimitExceeded:
                raise
            except Exception as fault:  # noqa: BLE001 - the one place that is allowed to
                self.report(hook, fault)
                return None

        return call

    def report(self, hook: str, fault: BaseException) -> None:
        """Count a fault; log it, with its traceback, once a minute for each hook.

        As text: whoever is handed the exception may look into its frames, where arguments are.
        """
        self.faults[hook] += 1
        now = self._clock()
        if now - self._logged.get(hook, -_QUIET) >= _QUIET:
            self._logged[hook] = now
            with contextlib.suppress(Exception):  # a logging filter of the user's may raise
                stack = "".join(traceback.format_exception(fault))
                logger.error(
                    "otel-celery: fault in %s; the task is not affected\n%s",
                    hook,
                    cut(redacted(stack), STACKTRACE_LIMIT, keep_end=True).rstrip(),
                )
