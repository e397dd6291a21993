"""A worker's main process, from its start to its stop."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Collection, Sequence
from typing import Any

from celery import bootsteps

from otel_celery import conventions as c
from otel_celery import sdk, seams
from otel_celery.alive import Alive
from otel_celery.delivery import Deliveries
from otel_celery.execution import Execution
from otel_celery.facts import Connected, Delivery, PoolProcessExited
from otel_celery.guard import logger
from otel_celery.process import Here, Role
from otel_celery.queue_metrics import QueueMetrics
from otel_celery.queues import QueueReader
from otel_celery.relay import Note
from otel_celery.sdk.inherited import flush_briefly
from otel_celery.sdk.traces import provide_tracer
from otel_celery.sdk.user_metrics import provide_meter
from otel_celery.sentry import Errors
from otel_celery.spans import Identity
from otel_celery.vitals import Vitals
from otel_celery.voice import Brokers
from otel_celery.wire import Ear

RELAY_VARIABLE = "OTEL_CELERY_RELAY"
"""Tells spawned pool processes, which inherit nothing else, whose they are and who listens."""

_POOLS = "celery.concurrency."
_FORK_WARNING = r"This process \(pid=\d+\) is multi-threaded, use of fork\(\)"
_BEAT = 5.0  # seconds between two heartbeats of the event loop
_EX_RECYCLE = 0x9B  # billiard's code for a process that reached its most tasks or memory


class WorkerMain:
    """Speaks for one worker.

    Args:
        here: this process.
        controller: Celery's WorkController, of which nothing has started yet.
        deliveries: what this worker holds.
        brokers: what its queues are called.
        errors: tells Sentry of what went wrong.
        readers: of queues, from the application.
    """

    def __init__(
        self,
        here: Here,
        controller: Any,
        deliveries: Deliveries,
        brokers: Brokers,
        errors: Errors,
        readers: Sequence[QueueReader] = (),
    ) -> None:
        self._here, self._app, self.guard = here, controller.app, here.guard
        self._deliveries, self._brokers, self._readers = deliveries, brokers, readers
        self._errors = errors
        self.pool_type = pool_type(controller.pool_cls)
        self._ear = Ear() if self.pool_type == "prefork" else None
        self._claim, name = claim_name(controller.hostname)
        if self._ear is not None:
            # Python 3.12 warns of each fork of a process with threads. Ours hold no lock that a
            # pool process needs; where warnings are errors, this one would end the pool.
            warnings.filterwarnings("ignore", _FORK_WARNING, DeprecationWarning)
            here.relay = self._ear.address
            os.environ[RELAY_VARIABLE] = f"{name} {self._ear.address}"
        self.exporter = here.export_as(
            Role.WORKER,
            name,
            {
                c.WORKER_NAME: name,
                "host.name": controller.hostname.partition("@")[2] or socket.gethostname(),
            },
            Identity(name, self.pool_type),
            self._ear,
        )
        errors.begin(name)
        self.exporter.speaker.witness = errors.of_main.witness
        self.vitals = Vitals(self.pool_type, self.exporter.speaker.counts)
        self._queues = QueueMetrics(
            self._app,
            here.settings,
            self.exporter.instruments,
            readers,
            self.vitals.queues,
            lambda: self.vitals.reads_queues,
        )
        self.alive = Alive(self._app, name, self.vitals, self.guard)
        self._step = _step(self)
        self._app.steps["consumer"].add(self._step)
        self._execution: Execution | None = None
        self._running = False
        self._beat = here.guard("heartbeat", self._on_beat)

    def on_consumer(self, consumer: Any) -> None:
        """The consumer has reached the broker: first at the start, then after each loss."""
        self.vitals.connect(consumer)
        self.alive.changed()
        if not self._running:
            self._running = True
            self._start()
            self._here.tell(Connected(again=False))
        else:
            self._here.tell(Connected(again=True))
        self._on_beat()
        consumer.timer.call_repeatedly(_BEAT, self._beat)

    def on_strategies(self) -> None:
        """Celery has built anew what runs each task, which matters where that is done in main."""
        if self.pool_type != "prefork":
            self._wrap_traces()

    def _start(self) -> None:
        exporter = self.exporter
        self.vitals.observe(exporter.instruments)
        self._queues.observe()
        if self._here.settings.queue_interval > 0:
            exporter.rounds.every(self._queues.interval, self._queues.poll)
        self._zero()
        exporter.start()

    def _zero(self) -> None:
        """Begin the outcomes of each task of the user's at 0."""
        queues = self.vitals.queues()
        broker, _ = self._brokers.of(self._app)
        with self.exporter.speaker.lock:
            self.exporter.speaker.counts.expect(queues)
            for name in sorted(self._app.tasks):
                if not name.startswith("celery."):
                    self.exporter.speaker.counts.zero(
                        name, broker.system, seams.usual_queue(self._app, name, queues)
                    )

    def _wrap_traces(self) -> None:
        """Put context around tasks that run here."""
        if self._execution is None:
            facts = self.exporter.speaker.facts
            self._execution = Execution(
                self._here,
                lambda *said: facts.append(Note(*said)),
                sdk.span_limits(),
                within=self._errors.around,
            )
            provide_tracer(self.exporter.resource, self._here.user_span)
            provide_meter(lambda: self.exporter.resource, self.guard)
        seams.wrap_traces(self._app, self._execution.around)

    def _on_beat(self) -> None:
        self.vitals.beat()
        gossip = getattr(self.vitals.consumer, "gossip", None)
        if gossip is not None and gossip.enabled:
            alive = [worker.hostname for worker in gossip.state.alive_workers()]
            me = self.vitals.consumer.hostname
            self.vitals.reads_queues = me == min([me, *alive])

    def on_lost(self) -> None:
        """The consumer's connection is gone, or the worker stops."""
        self.vitals.connected = False
        self.alive.changed()

    def on_close(self, unheard: Collection[Delivery]) -> None:
        """Celery drops what has not begun: with the connection it cannot be acknowledged."""
        drops = self.pool_type == "prefork"
        self._deliveries.given_back(stopping=False, pool_drops=drops, but=unheard)

    def on_exited(self, pid: int, code: int | None) -> None:
        """A pool process has ended."""
        self._here.tell(PoolProcessExited(pid, exit_reason(code)))

    def stop(self) -> None:
        """The worker has stopped: speak for whoever stayed silent, and export."""
        self._app.steps["consumer"].discard(self._step)
        self._deliveries.given_back(stopping=True)
        self.exporter.speaker.speak()  # what Sentry is to hear of waits no longer than the rest
        settings = self._here.settings
        left = settings.flush_timeout - settings.pool_flush  # pool processes had theirs already
        with self._errors.flushed(left):
            if self.pool_type != "prefork":
                flush_briefly(settings.pool_flush)
            self._here.stop(left)
        self._queues.close()
        self.alive.stop()
        if self._claim is not None:
            self._claim.close()


def _step(worker: WorkerMain) -> type:
    """Return a step of the consumer that comes after Celery has built its strategies."""
    guard = worker.guard
    started = guard("consumer", worker.on_consumer)
    lost = guard("consumer", worker.on_lost)

    class Telemetry(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, consumer: Any) -> None:
            started(consumer)

        def stop(self, consumer: Any) -> None:
            lost()

    return Telemetry


def pool_type(pool: Any) -> str:
    """Return "prefork", "solo", "threads", "gevent", "eventlet", or the module of another.

    A class of the user's that extends one of Celery's pools is like that one.
    """
    if isinstance(pool, str):
        kin = [pool.partition(":")[0]]
    else:
        kin = [each.__module__ for each in pool.__mro__]
    celerys = [name for name in kin if name.startswith(_POOLS) and name != f"{_POOLS}base"]
    short = (celerys or kin)[0].rpartition(".")[2]
    known = {"thread": "threads", "processes": "prefork", "asynpool": "prefork"}
    return known.get(short, short)


def exit_reason(code: int | None) -> str:
    """Return why a pool process ended, by its exit code as billiard gives it."""
    if code is None or code < 0:
        return "signal"
    if code == _EX_RECYCLE:
        return "recycled"
    return "error" if code else "shutdown"


def claim_name(nodename: str) -> tuple[socket.socket | None, str]:
    """Return a nodename that no other worker of this host speaks under.

    Two workers without `-n` share one name; the second appends its pid. An abstract socket holds
    the claim and ends with the process.
    """
    if os.uname().sysname != "Linux":
        return None, nodename
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind("\0otel-celery/" + nodename)
    except OSError:
        claim.close()
        unique = f"{nodename}/{os.getpid()}"
        logger.warning(
            "otel-celery: a worker named %s runs on this host already; this one reports as %s. "
            "Give each a name of its own with -n.",
            nodename,
            unique,
        )
        return None, unique
    return claim, nodename
