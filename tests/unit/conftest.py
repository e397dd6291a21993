"""What many unit tests stand on: an app without a broker, a process that keeps what it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery

from otel_celery.delivery import Deliveries
from otel_celery.voice import Brokers
from tests.unit.stand_ins import Voice, memory_app


@pytest.fixture
def app() -> Iterator[Celery]:
    made = memory_app()
    yield made
    made.close()


@pytest.fixture
def voice() -> Voice:
    return Voice()


@pytest.fixture
def deliveries(voice: Voice) -> Deliveries:
    return Deliveries(voice, Brokers())
