"""A Sentry client of this process whose events go into a list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.scope import remove_external_propagation_context
from sentry_sdk.transport import Transport

DSN = "https://key@sentry.example/7"


class Kept(Transport):
    """Keeps events instead of sending them."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events.append(envelope.get_event())

    def flush(self, timeout: float, callback: Any = None) -> None:
        """Nothing waits."""


@contextmanager
def sentry(**options: Any) -> Iterator[list[Any]]:
    """Have the application's own Sentry client, with none of Sentry's integrations but one."""
    transport, everywhere = Kept(), sentry_sdk.get_global_scope()
    client = sentry_sdk.Client(
        DSN, transport=transport, default_integrations=False,
        integrations=[DedupeIntegration()], **options,
    )  # fmt: skip
    everywhere.set_client(client)
    try:
        with sentry_sdk.isolation_scope():
            yield transport.events
    finally:
        everywhere.set_client(None)
        remove_external_propagation_context()
