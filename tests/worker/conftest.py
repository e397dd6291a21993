"""What a test of real processes mostly needs: its variables, a client that tells nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from celery import Celery

from tests.receiver import Receiver
from tests.services import Service, ServiceMissing, missing, rabbitmq_service
from tests.worker import harness


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


class Services(NamedTuple):
    """A RabbitMQ, and a Redis where results and marks go."""

    node: Service
    backend: str

    @property
    def broker(self) -> str:
        return self.node.url

    def environment(self, receiver: Receiver, broker: str = "") -> dict[str, str]:
        """Return the variables of a program that uses them."""
        return harness.environment(broker or self.broker, receiver, CASES_BACKEND=self.backend)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Yield a RabbitMQ that tests share, because it starts slowly, and a Redis for results."""
    folder = tmp_path_factory.mktemp("services")
    try:
        with rabbitmq_service(folder) as node, harness.broker(folder) as backend:
            yield Services(node, backend)
    except ServiceMissing as why:
        missing(str(why))


@pytest.fixture
def rabbit_client(services: Services) -> Iterator[Celery]:
    """Yield an app that uses them and knows nothing of telemetry; its queues are empty."""
    with Celery(broker=services.broker, backend=services.backend, set_as_current=False) as app:
        yield app
        with app.connection_for_write() as connection:
            for queue in ("celery", "orders", "parked"):
                connection.default_channel.queue_delete(queue)
        app.backend.client.flushdb()
