"""How do failed tasks become errors in Sentry, each once, with the ids of its trace?

What a task raises is captured where it is raised, by Sentry's own CeleryIntegration or, where that
is missing or did not see it, by us, with its frames. What kills a task, or keeps it from ever
beginning, is reported by main. Sentry's tracing and its message headers stay off.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any

from otel_celery.errors import MissingExtra
from otel_celery.guard import Guard, logger
from otel_celery.sentry_event import Event, clean, told_by_main
from otel_celery.sentry_main import MainErrors
from otel_celery.sentry_task import TaskErrors
from otel_celery.settings import Settings
from otel_celery.voice import Brokers

_OLDEST = (2, 48)  # whose OTLPIntegration can leave exporter and propagator alone
# By these Celery and billiard log, in several lines, what becomes one event here; the strategy's
# breadcrumbs hold arguments.
_DOUBLE = (
    "celery.app.trace", "celery.worker.job", "celery.worker.request", "celery.worker.strategy",
    "multiprocessing",
)  # fmt: skip


def _installed() -> bool:
    """Is a sentry-sdk installed that can be used? Tells without importing it."""
    try:
        found = re.findall(r"\d+", version("sentry-sdk"))
    except PackageNotFoundError:
        return False
    return tuple(int(number) for number in found[:2]) >= _OLDEST


def _said(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)


def _load() -> Any:
    """Import what is used of sentry-sdk, in the one place that does."""
    import sentry_sdk
    from sentry_sdk.integrations import logging as loggers
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.otlp import OTLPIntegration
    from sentry_sdk.scope import (
        add_global_event_processor,
        has_external_propagation_context,
        remove_external_propagation_context,
    )
    from sentry_sdk.transport import make_transport
    from sentry_sdk.utils import event_from_exception

    return SimpleNamespace(
        init=sentry_sdk.init,
        client=sentry_sdk.get_client,
        capture=sentry_sdk.capture_event,
        scope=sentry_sdk.get_current_scope,
        new_scope=sentry_sdk.new_scope,
        isolation_scope=sentry_sdk.isolation_scope,
        Celery=CeleryIntegration,
        OTLP=OTLPIntegration,
        forget_last_exception=DedupeIntegration.reset_last_seen,
        loggers=loggers,
        is_linked=has_external_propagation_context,
        unlink=remove_external_propagation_context,
        add_processor=add_global_event_processor,
        make_transport=make_transport,
        event_of=event_from_exception,
    )


def _ignore_doubles(loggers: Any) -> Iterator[Callable[[], None]]:
    """Have Sentry leave alone what Celery logs of tasks; yield what takes that back.

    What the application ignores itself stays ignored. The lists for Sentry's logs and the way back
    are younger than the oldest version that will do.
    """
    for what, names in (
        ("", "_IGNORED_LOGGERS"),
        ("_for_sentry_logs", "_IGNORED_LOGGERS_SENTRY_LOGS"),
    ):
        ignored = getattr(loggers, names, ())
        ignore = getattr(loggers, f"ignore_logger{what}", None)
        heed = getattr(loggers, f"unignore_logger{what}", None)
        for name in _DOUBLE:
            if ignore is not None and name not in ignored:
                ignore(name)
                if heed is not None:
                    yield functools.partial(heed, name)


class Errors:
    """Failed tasks on their way to Sentry, in one process and its forks.

    Args:
        settings: of the deployment.
        guard: keeps faults.
        brokers: what queues are called.
    """

    def __init__(self, settings: Settings, guard: Guard, brokers: Brokers) -> None:
        self.settings, self.guard = settings, guard
        self._tasks = TaskErrors(settings, guard, brokers)
        self.on = True
        self._sdk: Any = None
        self._refused = self._listening = self._linked = False
        self._undo: list[Callable[[], None]] = []
        self.of_main = MainErrors(settings, guard)
        self.link = guard("sentry", self._link)
        self.begin = guard("sentry", self._begin)

    def require(self) -> None:
        """Have what a worker needs: others start no Sentry, and may have SENTRY_DSN for their own.

        Raises:
            MissingExtra: SENTRY_DSN is set, and no sentry-sdk is there that could use it.
        """
        if self.settings.sentry_dsn and not _installed():
            raise MissingExtra(
                f"SENTRY_DSN is set, but sentry-sdk {_said(_OLDEST)} or newer is not installed:"
                " pip install 'otel-celery[sentry]'"
            )

    @property
    def sdk(self) -> Any:
        """What is used of sentry-sdk, where the application has imported it or we have."""
        if self._sdk is None and not self._refused and "sentry_sdk" in sys.modules:
            if _installed():
                self._sdk = _load()
            else:
                self._refused = True
                logger.warning(
                    "otel-celery: errors have no trace, this sentry-sdk is too old;"
                    " pip install 'sentry-sdk>=%s'",
                    _said(_OLDEST),
                )
        return self._sdk

    def _link(self) -> None:
        """Have each event carry the ids of OpenTelemetry's current span, in any process."""
        if self.sdk is not None and not self.sdk.is_linked():
            self.sdk.OTLP.setup_once()
            self._linked = True

    def _begin(self, worker: str) -> None:
        """Be ready for tasks: in main before its pool starts, in a pool process at its start.

        One that is spawned begins anew, and Celery gives it four seconds to be up. Later would be
        on a task's time.
        """
        self._tasks.worker = self.of_main.worker = worker
        if self.settings.sentry_dsn and self._sdk is None:
            self._sdk = _load()
        self._link()
        sdk = self._tasks.sdk = self.of_main.sdk = self.sdk
        if sdk is None:
            return
        if self.settings.sentry_dsn and not sdk.client().is_active():
            sdk.init(
                dsn=self.settings.sentry_dsn,
                integrations=[
                    sdk.OTLP(setup_otlp_traces_exporter=False, setup_propagator=False),
                    sdk.Celery(propagate_traces=False),
                ],
                include_local_variables=False,  # frames of Celery's hold a task's arguments
                shutdown_timeout=0,  # `flushed` waits, within a budget
            )
        self._undo.extend(_ignore_doubles(sdk.loggers))
        if not self._listening:
            self._listening = True
            sdk.add_processor(self.guard("sentry", self._screen))

    def _screen(self, event: Event, hint: Any) -> Event | None:
        """Look at every event of a worker's processes, first; a fault drops it, for privacy."""
        if not self.on or event.get("type") is not None:
            return event
        return None if told_by_main(event) else clean(event)

    def around(self, task: Any, trace: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that runs `task`, with its failure reported."""
        wanted = self.settings.sentry_dsn or "sentry_sdk" in sys.modules
        return self._tasks.around(task, trace) if wanted else trace

    @contextlib.contextmanager
    def flushed(self, timeout: float) -> Iterator[None]:
        """Send what is left while the block exports the rest, all within `timeout` seconds."""
        if self._sdk is None:
            yield
            return
        end = time.monotonic() + timeout
        flush = self.guard("sentry", self._flush)
        thread = threading.Thread(target=flush, args=(end,), daemon=True)
        with contextlib.suppress(RuntimeError):  # at the end of the interpreter none starts
            thread.start()
        try:
            yield
        finally:
            if thread.is_alive():
                thread.join(max(end - time.monotonic(), 0.0))

    def _flush(self, end: float) -> None:
        self.of_main.settle(end)
        self.sdk.client().flush(timeout=max(end - time.monotonic(), 0.0))

    def renew(self) -> None:
        """In a fork: main's unsent events are main's, and so are the locks of its threads."""
        self.of_main.forget()
        client = self._sdk.client() if self._sdk is not None else None
        if client is not None and getattr(client, "transport", None) is not None:
            client.transport = self._sdk.make_transport(client.options)

    def close(self) -> None:
        """Leave events alone from now on; Sentry itself stays, as the application has it."""
        self.on = False
        self.of_main.close()
        self.guard("sentry", self._let_go)()

    def _let_go(self) -> None:
        while self._undo:
            self._undo.pop()()
        if self._linked and self.sdk.client().get_integration(self.sdk.OTLP) is None:
            self._linked = False
            self.sdk.unlink()
