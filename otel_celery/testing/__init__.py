"""What does a user's test need to see what we tell?

pytest loads this by its entry point in every run: what costs is loaded when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from otel_celery.testing.memory import Point, Recorder, Telemetry
    from otel_celery.testing.queue_readers import QueueReaderContract

__all__ = ["Point", "QueueReaderContract", "Telemetry", "celery_telemetry"]


@pytest.fixture(scope="session")
def _otel_celery_recorder() -> Recorder:
    from otel_celery.testing.memory import Recorder

    return Recorder()


@pytest.fixture
def celery_telemetry(
    _otel_celery_recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Telemetry]:
    """Yield the spans and metrics of this test; nothing leaves the process.

    Covers eager tasks, publishes, and workers of `celery.contrib.testing.worker.start_worker`.
    What the application itself has switched on pauses until the test ends.
    """
    from otel_celery.testing.memory import quiet

    quiet(monkeypatch)
    with _otel_celery_recorder.recording() as telemetry:
        yield telemetry


def __getattr__(name: str) -> Any:
    if name in ("Point", "Telemetry"):
        from otel_celery.testing import memory

        return getattr(memory, name)
    if name == "QueueReaderContract":
        from otel_celery.testing import queue_readers

        return queue_readers.QueueReaderContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
