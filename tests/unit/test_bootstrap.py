"""What do Celery's signals switch on, and who may send them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from celery import signals

from otel_celery.bootstrap import Instrumentation, replace
from otel_celery.process import Role
from otel_celery.settings import Settings
from otel_celery.worker import RELAY_VARIABLE
from tests.unit.stand_ins import published


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Instrumentation]:
    """Yield what is switched on; nothing leaves."""
    monkeypatch.delenv(RELAY_VARIABLE, raising=False)
    for signal in ("TRACES", "METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    made = Instrumentation(None, Settings(), (), ())
    earlier = replace(made)
    yield made
    replace(earlier)


@pytest.mark.parametrize(
    "sender",
    [
        pytest.param(None, id="nobody"),
        pytest.param(Mock(), id="mock"),
    ],
)
def test_a_signal_sent_by_hand_makes_no_worker(on: Instrumentation, sender: Any) -> None:
    """Tests of applications, and Celery's own, do that: it is no fault of ours either."""
    signals.worker_init.send(sender=sender)
    signals.worker_shutdown.send(sender=sender)
    assert (on.here.role, on.here.exporter, on.guard.faults) == (Role.PUBLISHER, None, {})


def test_a_process_that_no_main_listens_to_speaks_for_itself(on: Instrumentation) -> None:
    """What it publishes would be lost otherwise, and not even counted."""
    signals.worker_process_init.send(sender=None)
    on.here.tell(published())
    assert (on.here.role, on.here.teller, on.guard.faults) == (Role.PUBLISHER, None, {})
    assert on.here.exporter is not None
    signals.worker_process_shutdown.send(sender=None)
    assert on.guard.faults == {}
