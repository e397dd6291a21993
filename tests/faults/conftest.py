"""What every fault test needs: a broker, a receiver, and where it notes its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.results import Measured
from tests.receiver import Receiver, receiving
from tests.worker import harness

BY_ID = {fault.id: fault for fault in FAULTS}


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """Yield a Redis of this test's own."""
    with harness.broker(tmp_path) as url:
        yield url


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield where OTLP/HTTP goes."""
    with receiving() as made:
        yield made


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return where the figures of the fault go that the test is marked with."""
    marker = request.node.get_closest_marker("fault")
    assert marker is not None, "mark the test with its fault: @pytest.mark.fault(id)"
    return Measured(BY_ID[marker.args[0]])
