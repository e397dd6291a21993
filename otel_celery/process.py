"""Which process is this, and what has it started for its telemetry?

A publisher, a worker's main, or beat exports: it has a speaker and couriers. A pool process only
tells its main. What a fork inherits of its parent is forgotten, never closed: it is the parent's.
"""

from __future__ import annotations

import atexit
import functools
import multiprocessing.util
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import billiard.util
from opentelemetry import trace

from otel_celery import sdk
from otel_celery.exporter import Exporter
from otel_celery.facts import Published, Told, made
from otel_celery.fork_gate import ForkGate
from otel_celery.guard import Guard
from otel_celery.lanes.readable import Envelopes, encode_readable
from otel_celery.log_records import LogLine
from otel_celery.relay import Teller
from otel_celery.sampling import Decider
from otel_celery.settings import Settings
from otel_celery.spans import Identity
from otel_celery.voice import Baggage
from otel_celery.wire import Ear, Mouth

_USUAL = (  # a sampler that `Decider` is quicker than; one that differs in any part is asked
    "ParentBased{root:AlwaysOnSampler,"
    "remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,"
    "localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"
)


class Role(Enum):
    """What a process does for Celery."""

    PUBLISHER = "publisher"
    WORKER = "worker"
    POOL_PROCESS = "pool process"
    BEAT = "beat"


class Here:
    """The process that we are in; implements `voice.Voice` for the hooks."""

    def __init__(
        self,
        settings: Settings,
        guard: Guard,
        baggage: Baggage | None,
        service: str,
        metric_exporters: Sequence[Any] = (),
    ) -> None:
        self.settings, self.guard, self.baggage = settings, guard, baggage
        self.structure = settings.trace_structure
        self.service, self._metric_exporters = service, metric_exporters
        self.relay = ""
        """Where main listens, see `Ear.address`."""
        self.relay_worker = ""
        """The worker whose fork this is; both survive a fork."""
        self.gate = ForkGate()
        """For what a fork must not come into, in any thread of ours."""
        self.on_publisher: Callable[[], object] = _nothing
        """Called before the first publish of a process that is nothing else."""
        self.exporter: Exporter | None = None
        self._inherited: list[Exporter] = []
        self.user_span = guard("user span", self._user_span)
        self._be_nobody()

    def _be_nobody(self) -> None:
        self.role = Role.PUBLISHER
        self.pid = os.getpid()
        self._lock = threading.RLock()
        self.exporter = None
        self.ear: Ear | None = None
        self.teller: Teller | None = None
        self.tell: Callable[[Told], None] = self._tell_first
        """Takes a fact; the first one in a process makes it a publisher."""
        self.__dict__.pop("decide", None)
        self._envelopes = Envelopes()

    @functools.cached_property
    def decide(self) -> Decider:
        """Decide by the application's own sampler where it has one, else by the variables'."""
        provider = trace.get_tracer_provider()
        sampler = getattr(provider, "sampler", None) or sdk.build_sampler()
        return Decider(None if sampler.get_description() == _USUAL else sampler)

    def _tell_first(self, told: Told) -> None:
        self._need_exporter()
        self.tell(told)

    def _need_exporter(self) -> Exporter:
        """Return what exports here; a process that is nothing yet becomes a publisher."""
        with self._lock:
            if self.exporter is None:
                self.on_publisher()
                self.export_as(Role.PUBLISHER, str(uuid.uuid4()), {}).start()
            assert self.exporter is not None
            return self.exporter

    def export_as(
        self,
        role: Role,
        instance_id: str,
        attributes: dict[str, str],
        identity: Identity = Identity(),  # noqa: B008 - immutable
        ear: Ear | None = None,
    ) -> Exporter:
        """Become a process that exports; the caller starts it."""
        earlier, self.role, self.ear = self.exporter, role, ear
        if earlier is not None:  # it published before it was known what it is
            earlier.stop()
        self.exporter = Exporter(
            self.settings,
            self.guard,
            instance_id,
            self.service,
            attributes,
            identity,
            ear,
            self._metric_exporters,
            self.gate,
        )
        self.tell = self.exporter.speaker.facts.append
        if role is Role.WORKER:
            self.relay_worker = instance_id
        atexit.register(self.stop)
        for library in (multiprocessing.util, billiard.util):  # their children run no `atexit`
            library.Finalize(None, self.stop, exitpriority=-1)
        return self.exporter

    def export_as_beat(self) -> Exporter:
        """Become beat: of a worker, where this process is a fork of one, or on its own."""
        name = f"{self.relay_worker}/beat" if self.relay_worker else str(uuid.uuid4())
        return self.export_as(Role.BEAT, name, {})

    def tell_main(self) -> Teller:
        """Become a pool process, which tells its main."""
        self.role = Role.POOL_PROCESS
        self.teller = Teller(Mouth(self.relay), self.guard)
        self.tell = self.teller.tell
        return self.teller

    def _user_span(self, span: Any) -> None:
        """Take an SDK span that user code ended here, be it in a process that a task forked."""
        if self.teller is not None:
            self.teller.span(span)
            return
        self._need_exporter().lane.put_encoded(encode_readable(span, self._envelopes), 1)

    def log(self, record: bytes) -> None:
        """Take a task's log record; one of a process that a task forked goes nowhere."""
        if self.teller is not None:
            self.teller.log(record)
        elif self.role is Role.WORKER and self.exporter is not None:
            self.exporter.speaker.facts.append(LogLine(record))

    def forget(self) -> None:
        """In a fork: nothing that was inherited is ours, and nothing of it is collected.

        That would close connections of the parent's, and ask for locks that its threads held.
        """
        ear = self.ear
        if self.exporter is not None:
            self._inherited.append(self.exporter)
            self.exporter.let_go()
        self._be_nobody()
        if ear is not None:
            ear.forget_after_fork()

    def stop(self, seconds: float | None = None) -> None:
        """Export what is left, within the flush timeout or these seconds.

        The process may end now, or publish again.
        """
        exporter = self.exporter
        if exporter is not None and self.pid == os.getpid():
            self.tell = self._begin_anew
            exporter.stop(seconds)
            if self.ear is not None:
                self.ear.close()

    def close(self) -> None:
        """Export what is left, and hear nothing more: hooks that are still in use fall silent."""
        self.stop()
        self.tell = _ignore

    def _begin_anew(self, told: Told) -> None:
        """After a stop: a publish makes a publisher, any other word comes too late."""
        if isinstance(made(told), Published):
            self._be_nobody()
            self.tell(told)


def _ignore(told: Told) -> None:
    """Take a fact that nobody is interested in."""


def _nothing() -> None:
    """Do nothing."""
