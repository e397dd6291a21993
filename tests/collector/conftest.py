"""The programs of the stack, a Collector, and a backend that keeps what it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.native.build import BuildError
from collector.native.programs import find
from tests.receiver import Receiver, receiving
from tests.services import missing


@pytest.fixture(scope="session")
def program() -> Callable[[str], Path]:
    """Return what finds a program of the stack, built if need be.

    Where there is none a test is skipped at home and fails in CI.
    """

    def found(name: str) -> Path:
        try:
            return find(name)
        except BuildError as why:
            missing(f"{name}: {str(why).splitlines()[0]}")

    return found


@pytest.fixture(scope="session")
def otelcol(program: Callable[[str], Path]) -> Path:
    """The Collector of this tree's sources."""
    return program("otelcol-celery")


@pytest.fixture
def backend() -> Iterator[Receiver]:
    with receiving() as running:
        yield running
