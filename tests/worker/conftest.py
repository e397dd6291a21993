"""What a test of real processes mostly needs: a broker, a receiver, a client that tells nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from tests.receiver import Receiver, receiving
from tests.worker import harness


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """Yield a Redis of this test's own, so that nothing is left of another's messages."""
    with harness.broker(tmp_path) as url:
        yield url


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield where OTLP/HTTP goes."""
    with receiving() as made:
        yield made


@pytest.fixture
def environ(redis_url: str, receiver: Receiver) -> dict[str, str]:
    """Return the variables of a program that publishes or works here; a test may add to them."""
    return harness.environment(redis_url, receiver)


@pytest.fixture
def client(environ: dict[str, str]) -> Iterator[Celery]:
    """Yield an app of the test's own process, which is not instrumented."""
    broker, backend = environ["CASES_BROKER"], environ["CASES_BACKEND"]
    with Celery(broker=broker, backend=backend, set_as_current=False) as app:
        yield app
