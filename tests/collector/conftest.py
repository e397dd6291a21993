"""A Collector, and a backend that keeps what it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.receiver import Receiver, receiving


@pytest.fixture(scope="session")
def otelcol(program: Callable[[str], Path]) -> Path:
    """The Collector of this tree's sources."""
    return program("otelcol-celery")


@pytest.fixture
def backend() -> Iterator[Receiver]:
    with receiving() as running:
        yield running
