"""What is switched on, and when? The only file that knows all the others."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

from celery import current_app, signals
from celery.worker import WorkController

from otel_celery import conventions as c
from otel_celery import sdk, seams
from otel_celery.beat import Beat
from otel_celery.delivery import Deliveries
from otel_celery.eager import EagerTasks
from otel_celery.errors import OtelCeleryError
from otel_celery.execution import current_task, current_task_id
from otel_celery.guard import Guard
from otel_celery.hooks import Hooks
from otel_celery.log_tap import LogTap
from otel_celery.logs import TaskLogs
from otel_celery.outcome import HowEnded
from otel_celery.pool_process import PoolProcess, find_relay
from otel_celery.process import Here, Role
from otel_celery.publish import Door
from otel_celery.queues import QueueReader
from otel_celery.queues.inherited import renew_after_fork as renew_kombu
from otel_celery.sdk.inherited import renew_after_fork
from otel_celery.sentry import Errors
from otel_celery.settings import Settings
from otel_celery.takeover import propagated_baggage, take_over_contrib
from otel_celery.voice import Brokers
from otel_celery.worker import WorkerMain

_SIGNALS = (
    "worker_init", "worker_shutdown", "worker_process_init", "worker_process_shutdown",
    "beat_init", "beat_embedded_init", "task_unknown", "task_rejected",
)  # fmt: skip


class Instrumentation:
    """Everything that is switched on in this process, and can be switched off again."""

    def __init__(
        self,
        app: Any,
        settings: Settings,
        metric_exporters: Sequence[Any],
        readers: Sequence[QueueReader],
    ) -> None:
        self._app, self._readers = app, readers
        self.guard = Guard()
        service = getattr(app, "main", None) or "celery"
        self.here = Here(settings, self.guard, propagated_baggage(), service, metric_exporters)
        self._brokers = Brokers()
        self.errors = Errors(settings, self.guard, self._brokers)
        self.here.on_publisher = self.errors.link
        self._limits = sdk.span_limits()
        self.deliveries = Deliveries(
            self.here, self._brokers, keep_results="result" in settings.capture
        )
        self._seams = seams.all_seams()
        self._worker: WorkerMain | None = None
        self._hooks = Hooks(self.guard, self.deliveries, lambda: self._worker)
        self._beat: Beat | None = None
        self._pool_process: PoolProcess | None = None
        self._logs = TaskLogs(current_task_id, self.guard)
        self._tap = LogTap(self.guard, current_task, self.here.log, sdk.app_tells_logs)
        self._handlers: list[tuple[Any, Callable[..., Any]]] = []
        self.active = False

    def switch_on(self) -> None:
        """Arm; nothing starts before this process does something for Celery."""
        take_over_contrib()
        door, eager = Door(self.here, self._brokers), EagerTasks(self.here, self._limits)
        self.errors.link()
        self._hooks.open(self._seams, door, eager)
        seams.forget_senders()
        for name in _SIGNALS:
            handler = self.guard(name, getattr(self, f"on_{name}"))
            sent = getattr(signals, name)
            sent.connect(handler, weak=False)
            self._handlers.append((sent, handler))
        self.active = True

    def switch_off(self) -> None:
        """Put everything back, and export what is left."""
        self.active = False
        for seam in self._seams.values():
            seam.close()
        seams.forget_senders()
        self._hooks.undress()
        for sent, handler in self._handlers:
            sent.disconnect(handler)
        self._handlers.clear()
        self._logs.uninstall()
        self._tap.uninstall()
        self.here.gate.remove()
        if self._worker is not None:  # one in a thread of a test may end without a word
            self._worker.alive.stop()
        self.here.close()
        self.errors.close()  # it hears of the last facts

    def _name_after(self, app: Any) -> None:
        if self._app is None and app.main:
            self._app, self.here.service = app, app.main

    def _watch_logs(self) -> None:
        self._logs.install()
        if sdk.logs_wanted():
            self._tap.install()

    def on_worker_init(self, sender: Any, **_: Any) -> None:
        """Main, before anything of the worker has started.

        Tests and scripts send this signal by hand, too, from no worker.
        """
        if not isinstance(sender, WorkController):
            return
        take_over_contrib()
        self._name_after(sender.app)
        try:
            self.errors.require()
            self._worker = WorkerMain(
                self.here, sender, self.deliveries, self._brokers, self.errors, self._readers
            )
        except OtelCeleryError as why:  # a fault at start is loud; Celery would only log it
            raise SystemExit(f"otel-celery: {why}") from why
        if self._worker.pool_type == "prefork":
            self.here.gate.install()
        self._watch_logs()

    def on_worker_shutdown(self, **_: Any) -> None:
        """Main, after the pool has stopped."""
        worker, self._worker = self._worker, None
        if worker is not None and self.here.pid == os.getpid():
            self._hooks.unheard.read_on()
            worker.stop()
            self.here.gate.remove()

    def on_worker_process_init(self, **_: Any) -> None:
        """A pool process has started. The solo pool says so in main.

        Where no main listens, as when a script sends this signal by hand, the process goes on to
        speak for itself: what it told a main would be lost in silence.
        """
        if self.here.role is Role.WORKER and self.here.pid == os.getpid():
            return
        if not find_relay(self.here):
            return
        self._worker = None
        self._name_after(current_app)
        self._pool_process = PoolProcess(self.here, self._limits, self.errors)
        self._watch_logs()

    def on_worker_process_shutdown(self, **_: Any) -> None:
        """A pool process leaves by itself."""
        if self._pool_process is not None:
            self._pool_process.stop()

    def on_beat_init(self, sender: Any, **_: Any) -> None:
        """Beat has started, in a process of its own or as a thread of a worker."""
        if self._beat is not None:
            return
        self._beat = Beat(self.here, sender.scheduler)
        if self.here.role is Role.WORKER:
            exporter = self.here.exporter
        else:
            exporter = self.here.export_as_beat()
            exporter.start()
        if exporter is not None:
            exporter.instruments.observe(c.BEAT_HEARTBEAT, self._beat.heartbeat)

    def on_beat_embedded_init(self, sender: Any, **_: Any) -> None:
        """Beat runs within a worker; `beat_init` has been sent before."""
        if self.here.role is Role.BEAT:
            signal.signal(signal.SIGTERM, self._end_embedded_beat)

    def _end_embedded_beat(self, number: int, _: Any) -> None:
        """Export before the process dies of the signal; Celery gives it no other moment."""
        signal.signal(number, signal.SIG_DFL)
        self.guard("stop", self.here.stop)()
        os.kill(os.getpid(), number)

    def on_task_unknown(self, sender: Any, message: Any, **_: Any) -> None:
        """A message named a task that is not registered here."""
        self.deliveries.refuse(sender.app, message, HowEnded.UNKNOWN, None)

    def on_task_rejected(self, sender: Any, message: Any, exc: Any = None, **_: Any) -> None:
        """A message could not be made a request."""
        self.deliveries.refuse(
            sender.app, message, HowEnded.INVALID, type(exc).__name__ if exc else None
        )


_current: Instrumentation | None = None
_hooked = False
_switch = threading.RLock()


def instrument(
    app: Any = None,
    *,
    metric_exporters: Sequence[Any] = (),
    readers: Sequence[QueueReader] = (),
    **settings: Any,
) -> None:
    """Do what `otel_celery.instrument` says."""
    with _switch:
        if _current is None and not sdk.sdk_disabled():
            chosen = Settings.from_env(**settings)
            sdk.check_environment()
            replace(Instrumentation(app, chosen, metric_exporters, readers))


def uninstrument() -> None:
    """Do what `otel_celery.uninstrument` says."""
    replace(None)


def replace(by: Instrumentation | None) -> Instrumentation | None:
    """Switch off what is on, switch on what is given, and return the first."""
    global _current, _hooked
    with _switch:
        earlier, _current = _current, by
        if earlier is not None:
            earlier.switch_off()
        if by is not None:
            by.switch_on()
            if not _hooked and hasattr(os, "register_at_fork"):
                _hooked = True  # such a hook cannot be taken back
                os.register_at_fork(
                    before=_before_fork,
                    after_in_parent=_after_fork,
                    after_in_child=_forget_after_fork,
                )
    return earlier


def after_instrumentors() -> None:
    """For `opentelemetry-instrument`, which may have loaded contrib's instrumentor after ours."""
    if _current is not None:
        take_over_contrib()


def _before_fork() -> None:
    if _current is not None:
        _current.guard("fork", _current.here.gate.before_fork)()


def _after_fork() -> None:
    if _current is not None:
        _current.guard("fork", _current.here.gate.after_fork)()


def _forget_after_fork() -> None:
    """In a forked child: what was started for telemetry belongs to the parent."""
    if _current is not None:
        _current.guard.faults.clear()  # the parent tells of its own
        _current.guard("fork", _current.here.gate.after_fork_in_child)()
        if _current.here.role is Role.WORKER:
            _current.guard("fork", renew_kombu)()
            _current.guard("fork", renew_after_fork)()
            _current.guard("fork", _current.errors.renew)()
        _current.here.forget()
