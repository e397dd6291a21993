"""A pool process, from its start to its end: it carries context, and tells its main."""

from __future__ import annotations

import functools
import os

from celery import current_app

from otel_celery import conventions as c
from otel_celery import sdk, seams
from otel_celery.execution import Execution
from otel_celery.otlp import Limits
from otel_celery.process import Here
from otel_celery.sdk.inherited import flush_briefly
from otel_celery.sdk.traces import provide_tracer
from otel_celery.sdk.user_metrics import provide_meter
from otel_celery.sentry import Errors
from otel_celery.worker import RELAY_VARIABLE

_PATIENCE = 0.5  # seconds for main to take the last words


class PoolProcess:
    """One of the processes in which a worker's tasks run.

    Args:
        here: this process, which knows where its main listens.
        limits: of a task's span.
        errors: tells Sentry of what tasks raise.
    """

    def __init__(self, here: Here, limits: Limits, errors: Errors) -> None:
        self._here, self._teller = here, here.tell_main()
        self._nodename = nodename = here.relay_worker
        self._resource = functools.partial(
            sdk.build_resource, service_name=here.service, **{c.WORKER_NAME: nodename}
        )
        # Handlers of `worker_process_init` that come after us may set providers of their own.
        after = self._teller.pass_on if sdk.logs_wanted() else None
        self._errors = errors
        errors.begin(nodename)
        execution = Execution(
            here, self._teller.note, limits, self._provide, after, within=errors.around
        )
        seams.wrap_traces(current_app._get_current_object(), execution.around)

    def _provide(self) -> None:
        """Give what tasks make a way out, where the application has none."""
        provide_tracer(self._resource(instance_id=self._nodename), self._here.user_span)
        provide_meter(
            lambda: self._resource(instance_id=f"{self._nodename}#{seams.slot()}"), self._here.guard
        )

    def stop(self) -> None:
        """The process leaves by itself, soon and by `os._exit`."""
        seconds = self._here.settings.pool_flush
        with self._errors.flushed(seconds):
            flush_briefly(seconds)
        self._teller.leave(_PATIENCE)


def find_relay(here: Here) -> bool:
    """Say whether a main listens to this process; a spawned one is told by a variable."""
    told = os.environ.pop(RELAY_VARIABLE, "")  # programs that a task starts are strangers
    if not here.relay:
        here.relay_worker, _, here.relay = told.partition(" ")
    return bool(here.relay)
