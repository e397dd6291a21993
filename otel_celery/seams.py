"""Where do we touch names that Celery did not promise?

Every such name stands here (or is overridden in `request.py`), with what it is for, why no public
way does, and what is missing if it is gone. Tried on Celery 5.4 to 5.7, billiard 4.2 to 4.3.

AMQP._create_task_sender
    the door of every publish. Signals do not see one that fails. Gone: no publish spans.
Task.start_strategy
    our Request class on each task, also on those registered late; Celery reads it there.
    Gone: no process spans.
Task.apply
    eager tasks, which send no message and no signal of their own. Gone: no eager spans.
Consumer.update_strategies
    rebuilds the functions that run tasks: at each connection, and when a pool is restarted. Gone:
    in pools that live in main, user spans have no parent.
Task.__trace__
    context around the body; two signals cost eight times as much. Gone: user spans have no parent.
Consumer.on_close
    requests that are dropped without a callback or signal. Gone: they count as reserved until the
    worker stops.
Consumer.on_decode_error
    undecodable bodies: no Request, no signal. Gone: they are missing from consumed.
worker.state.should_terminate
    a cold stop before Celery 5.5, which comes as a lost worker. Gone: counted as lost.
Process.index
    which of the pool's places a process has, for the identity of metrics made in tasks. Gone: its
    pid, so that series grow with each new process.
ApplyResult._write_to, ._accepted, ._callback, ResultHandler.on_state_change, Worker.outq
    jobs that a process was given when the connection was lost, and what it says of them.
    Gone: what it runs then is told as returned, and has no span.
Pool._join_exited_workers
    exits of pool processes; the signal is sent in the process that a SIGKILL ends. Gone: no
    celery.worker.pool.process.exits.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from billiard import current_process
from billiard.pool import ACK, READY, Pool
from celery import _state
from celery.app.amqp import AMQP
from celery.app.task import Task
from celery.utils.imports import symbol_by_name
from celery.worker import state as worker_state
from celery.worker.consumer import Consumer

Around = Callable[[Callable[..., Any]], Callable[..., Any]]

BEGAN, ENDED = ACK, READY
"""What a pool process says of a job."""

_MARK = "__otel_celery__"


class Seam:
    """One method of a class of Celery's, wrapped while instrumented."""

    def __init__(self, owner: type, name: str) -> None:
        self.owner, self.name = owner, name
        self._inner: Callable[..., Any] | None = None

    @property
    def exists(self) -> bool:
        """Does the installed Celery have it?"""
        return callable(self.owner.__dict__.get(self.name))

    def open(self, around: Around) -> None:
        """Wrap it; a second time does nothing."""
        if self._inner is None and self.exists:
            self._inner = self.owner.__dict__[self.name]
            setattr(self.owner, self.name, functools.wraps(self._inner)(around(self._inner)))

    def close(self) -> None:
        """Put back what was there."""
        if self._inner is not None:
            setattr(self.owner, self.name, self._inner)
            self._inner = None


def all_seams() -> dict[str, Seam]:
    """Return one seam for each method that we wrap, by what it is for."""
    return {
        "publish": Seam(AMQP, "_create_task_sender"),
        "strategy": Seam(Task, "start_strategy"),
        "eager": Seam(Task, "apply"),
        "strategies": Seam(Consumer, "update_strategies"),
        "close": Seam(Consumer, "on_close"),
        "decode_error": Seam(Consumer, "on_decode_error"),
        "pool_exit": Seam(Pool, "_join_exited_workers"),
    }


def forget_senders() -> None:
    """Make every app build its sender anew: it caches the one it has."""
    for app in list(_state._get_active_apps()):
        amqp = app.__dict__.get("amqp")
        if amqp is not None:
            amqp.__dict__.pop("send_task_message", None)


def cold_stop() -> bool:
    """Is this worker being stopped at once? An exit code may be 0, which is no False."""
    code = getattr(worker_state, "should_terminate", None)
    return code is not None and code is not False  # as Celery asks: 0 equals False


def wrap_traces(app: Any, around: Callable[[Any, Any], Any]) -> None:
    """Wrap the function that runs each task, where that has not been done yet.

    It is built in a pool process at its start, and in main with the strategies.
    """
    for task in list(app.tasks.values()):
        trace = task.__trace__
        if trace is not None and not hasattr(trace, _MARK):
            wrapped = around(task, trace)
            setattr(wrapped, _MARK, trace)
            task.__trace__ = wrapped


def jobs_on_their_way(pool: Any) -> Iterator[tuple[int, Any, Any]]:
    """Yield number, Request and process of each job that was given to one but has not begun.

    Whether it has it may be known to the process alone. Other pools than prefork have no such jobs.
    """
    cache = getattr(getattr(pool, "_pool", None), "_cache", None)
    for number, job in list(cache.items()) if isinstance(cache, dict) else ():
        writer = getattr(job, "_write_to", None)
        if writer is not None and job._accepted is False:
            yield number, getattr(job._callback, "__self__", None), writer


def overhear(pool: Any, jobs: Container[int], hear: Callable[..., object]) -> None:
    """Have `hear(word, job, ...)` called with what pool processes say of some jobs, after Celery.

    The event loop takes notice when it begins anew, as it does after a lost connection.
    """
    handler: Any = getattr(getattr(pool, "_pool", None), "_result_handler", None)
    inner = getattr(handler, "on_state_change", None)
    if inner is None or hasattr(inner, _MARK):
        return

    def on_state_change(said: Any) -> Any:
        try:
            return inner(said)
        finally:
            word, told = said
            if told and told[0] in jobs:
                hear(word, *told)

    setattr(on_state_change, _MARK, inner)
    handler.on_state_change = on_state_change


def unread(process: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield what a pool process that has ended said, and main has not read."""
    reader = process.outq._reader
    try:
        os.set_blocking(reader.fileno(), False)  # a kill may have cut off the last word
        while True:
            if (said := reader.recv()) is not None:
                yield said
    except (OSError, EOFError):
        return


def restore_tasks(own_request: Callable[[type], type | None]) -> None:
    """Undo `wrap_traces` in every app, and give each task its own Request class again.

    Args:
        own_request: returns what a Request class of ours stands for, None for any other.
    """
    for app in list(_state._get_active_apps()):
        if not app.finalized:  # asking for its tasks would finalize it
            continue
        for task in list(app.tasks.values()):
            inner = getattr(task.__trace__, _MARK, None)
            if inner is not None:
                task.__trace__ = inner
            found = own_request(task.Request) if isinstance(task.Request, type) else None
            if found is not None:
                task.Request = found


def request_class(task: Any) -> type:
    """Return the class that a task names as its Request, which may be given as text."""
    found: type = symbol_by_name(task.Request)
    return found


def exit_code(process: Any) -> int | None:
    """Return a pool process's exit code, None when it cannot be asked any more."""
    try:
        code = process.exitcode
    except ValueError:  # closed
        return None
    return int(code) if code is not None else None


def slot() -> int:
    """Return the place that this pool process has among its pool's, 0 being the first."""
    return int(getattr(current_process(), "index", os.getpid()))


def usual_queue(app: Any, task: str, consumed: Sequence[str]) -> str:
    """Return the queue that a task's messages usually come by.

    Asking Celery's router would create queues that it does not know, and the worker would consume
    them from its next connection on; so only a route that is written down as a name is followed.
    """
    routes = app.conf.task_routes
    route = routes.get(task) if isinstance(routes, Mapping) else None
    queue = route.get("queue") if isinstance(route, Mapping) else route
    if isinstance(queue, str) and queue in consumed:
        return queue
    default = app.conf.task_default_queue
    return default if default in consumed or not consumed else consumed[0]
