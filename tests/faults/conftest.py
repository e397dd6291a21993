"""Where a fault test notes its figures."""

from __future__ import annotations

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.results import Measured

BY_ID = {fault.id: fault for fault in FAULTS}


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return where the figures of the fault go that the test is marked with."""
    marker = request.node.get_closest_marker("fault")
    assert marker is not None, "mark the test with its fault: @pytest.mark.fault(id)"
    return Measured(BY_ID[marker.args[0]])
