"""Which names may series have, so that their number stays finite?"""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from otel_celery.conventions import OTHER

_MAX_NAME = 255  # what AMQP allows a queue; result backends allow task names no more


class Bounds:
    """Keeps the number of series finite: so many names, and all further ones are `_OTHER`.

    First come, first kept, for as long as the process lives; so a series never changes its meaning.
    Names come from messages: they are cut, and made valid UTF-8, because one string that is not
    spoils an exporter's whole batch.

    Args:
        overflowed: called for each name that had to become `_OTHER`.
        tasks: most task names.
        queues: most queue names.
        errors: most error types of one task.
    """

    def __init__(
        self,
        overflowed: Callable[[], object],
        *,
        tasks: int = 200,
        queues: int = 50,
        errors: int = 30,
    ) -> None:
        self._overflowed, self._most_errors = overflowed, errors
        self._tasks = _Names(tasks, overflowed)
        self._errors: dict[str, _Names] = {}
        self.task: Callable[[str], str] = self._tasks.__getitem__
        """Return a task's name, or `_OTHER`."""
        self.queue: Callable[[str], str] = _Names(queues, overflowed).__getitem__
        """Return a queue's name, or `_OTHER`."""

    @overload
    def error(self, task: str, name: str) -> str: ...
    @overload
    def error(self, task: str, name: None) -> None: ...
    @overload
    def error(self, task: str, name: str | None) -> str | None: ...
    def error(self, task: str, name: str | None) -> str | None:
        """Return the error type of a task, or `_OTHER`; None stays None.

        All tasks that are themselves `_OTHER` share one set.
        """
        if name is None:
            return None
        task = self._tasks.get(task, OTHER)
        kept = self._errors.get(task)
        if kept is None:
            kept = self._errors[task] = _Names(self._most_errors, self._overflowed)
        return kept[name]


class _Names(dict[str, str]):
    """The names that were first, by what they were before they were cut and mended."""

    def __init__(self, most: int, overflowed: Callable[[], object]) -> None:
        super().__init__({OTHER: OTHER})
        self._most, self._overflowed = most, overflowed

    def __missing__(self, name: str) -> str:
        if len(self) > self._most:  # `_OTHER` is in it and takes no place
            self._overflowed()
            return OTHER
        clean = name[:_MAX_NAME].encode("utf-8", "replace").decode()
        self[name] = clean or OTHER
        return self[name]
