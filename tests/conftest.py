"""What holds for every test: no variables of the caller, marks by folder, skips in one line."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from opentelemetry.context import Context, attach, detach

from tests.receiver import Receiver, receiving
from tests.worker import harness

HERE = Path(__file__).parent
MARKS = {"brokers": "broker", "faults": "worker", "worker": "worker", "stack": "stack"}

# No deadline: a shared machine is slow now and then, and that is not the property in question.
hypothesis.settings.register_profile("otel-celery", deadline=None, print_blob=True)
hypothesis.settings.load_profile("otel-celery")


@pytest.fixture(autouse=True)
def clean_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop what the caller's shell says about telemetry."""
    for name in list(os.environ):
        if name.startswith("OTEL_") or name == "SENTRY_DSN":
            monkeypatch.delenv(name)


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


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    """Begin each test outside of any span; what it attaches ends with it."""
    token = attach(Context())
    yield
    detach(token)


@pytest.fixture(autouse=True)
def own_log_level() -> Iterator[None]:
    """Take back what a worker within the test's process made of the root logger's level."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a service by the folder it stands in."""
    for item in items:
        if item.path.is_relative_to(HERE):
            folder = item.path.relative_to(HERE).parts[0]
            if folder in MARKS:
                item.add_marker(MARKS[folder])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was not tried, and why."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    if reasons:
        told = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"not tried: {told}")
