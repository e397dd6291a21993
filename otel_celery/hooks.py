"""What stands in each seam of Celery?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otel_celery import seams
from otel_celery.delivery import Deliveries
from otel_celery.eager import EagerTasks
from otel_celery.guard import Guard
from otel_celery.outcome import HowEnded
from otel_celery.publish import Door
from otel_celery.request import observed
from otel_celery.seams import Seam
from otel_celery.unheard import Unheard
from otel_celery.worker import WorkerMain


class Hooks:
    """Passes on to ours what Celery does, and never stands in its way.

    Args:
        guard: keeps faults of ours.
        deliveries: what a worker's main holds.
        worker: this process's worker, None where it is none.
    """

    def __init__(
        self, guard: Guard, deliveries: Deliveries, worker: Callable[[], WorkerMain | None]
    ) -> None:
        self._guard, self._deliveries, self._worker = guard, deliveries, worker
        self.unheard = Unheard(deliveries)
        self._dressed: dict[type, type] = {}

    def open(self, seam: Mapping[str, Seam], door: Door, eager: EagerTasks) -> None:
        """Open all seams; each is closed by itself."""
        seam["publish"].open(lambda create: lambda amqp: door.around(amqp, create(amqp)))
        seam["eager"].open(eager.around)
        seam["strategy"].open(self._around_strategy)
        seam["strategies"].open(self._around_strategies)
        seam["close"].open(self._around_close)
        seam["decode_error"].open(self._around_decode_error)
        seam["pool_exit"].open(self._around_pool_exit)

    def undress(self) -> None:
        """Give the tasks of all apps back what they had."""
        own = {ours: base for base, ours in self._dressed.items()}
        seams.restore_tasks(own.get)

    def _around_strategy(self, start: Callable[..., Any]) -> Callable[..., Any]:
        dress = self._guard("dress", self._dress)

        def start_strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Any:
            dress(task)
            return start(task, app, consumer, **options)

        return start_strategy

    def _dress(self, task: Any) -> None:
        """Give a task a Request class of ours, over whatever it had."""
        base = seams.request_class(task)
        if base not in self._dressed.values():
            if base not in self._dressed:
                self._dressed[base] = observed(base, self._deliveries)
            task.Request = self._dressed[base]

    def _around_strategies(self, update: Callable[..., Any]) -> Callable[..., Any]:
        def update_strategies(consumer: Any) -> Any:
            try:
                return update(consumer)
            finally:
                if (worker := self._worker()) is not None:
                    self._guard("strategies", worker.on_strategies)()

        return update_strategies

    def _around_close(self, close: Callable[..., Any]) -> Callable[..., Any]:
        note = self._guard("unheard", self.unheard.note)

        def on_close(consumer: Any) -> Any:
            unheard = note(consumer.pool) or ()
            try:
                return close(consumer)
            finally:
                if (worker := self._worker()) is not None:
                    self._guard("close", worker.on_close)(unheard)

        return on_close

    def _around_decode_error(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        tell = self._guard("decode_error", self._deliveries.refuse)

        def on_decode_error(consumer: Any, message: Any, exc: BaseException) -> Any:
            tell(consumer.app, message, HowEnded.INVALID, type(exc).__name__)
            return handle(consumer, message, exc)

        return on_decode_error

    def _around_pool_exit(self, join: Callable[..., Any]) -> Callable[..., Any]:
        def join_exited_workers(pool: Any, *args: Any, **options: Any) -> Any:
            before = list(pool._pool)
            try:
                return join(pool, *args, **options)
            finally:
                if self._worker() is not None:
                    self._guard("pool_exit", self._tell_exits)(before, pool)

        return join_exited_workers

    def _tell_exits(self, before: Sequence[Any], pool: Any) -> None:
        left = {process.pid for process in pool._pool}
        for process in before:
            if process.pid not in left and (worker := self._worker()) is not None:
                worker.on_exited(process.pid, seams.exit_code(process))
                self.unheard.exited(process.pid)
