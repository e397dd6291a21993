"""A Collector, and a backend that keeps what it is sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.native import build
from tests.receiver import Receiver, receiving


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The Collector of this tree's sources."""
    built = build.programs() / f"{build.COLLECTOR}-{build.digest(build.SOURCES)}"
    if not built.exists() and not os.environ.get("CI"):
        pytest.skip("no Collector of these sources: `make collector` builds it")
    return build.build_collector()


@pytest.fixture
def backend() -> Iterator[Receiver]:
    with receiving() as running:
        yield running
