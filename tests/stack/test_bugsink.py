"""A real error server: what a worker tells Sentry is an issue there, which leads to its trace."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from collector.native import bugsink
from tests.receiver import receiving
from tests.services import free_port
from tests.waiting import eventually
from tests.worker import harness

TRACE_URL = "http://127.0.0.1:16686/trace/{trace_id}"
ISSUES = {  # task of sentry_app, argument -> type of the issue
    "lost": "WorkerLostError",  # first: a process that is killed takes what it had not sent
    "refused": "ValueError",
    "paid": None,
}


@pytest.fixture(scope="module")
def installed() -> None:
    """Install it, or skip."""
    try:
        bugsink.install()
    except RuntimeError as why:
        harness.missing(f"Bugsink cannot be installed: {why}")


def stored(server: bugsink.Bugsink) -> dict[str, list[dict[str, Any]]]:
    """Return the events of each issue, by the issue's type, as the server keeps them."""
    return {
        issue["calculated_type"]: [
            server.api(f"events/{event['id']}/")["data"]
            for event in server.api(f"events/?issue={issue['id']}")["results"]
        ]
        for issue in server.api("issues/?project=1")["results"]
    }


@pytest.mark.usefixtures("installed")
def test_a_failure_is_an_issue_that_leads_to_its_trace(tmp_path: Path) -> None:
    """Trace and span id, tags and link come through; failures of one kind are one issue."""
    with (
        harness.broker(tmp_path) as url,
        receiving() as receiver,
        bugsink.running(tmp_path / "bugsink", free_port()) as server,
    ):
        environ = harness.environment(
            url, receiver, SENTRY_DSN=server.dsn, OTEL_CELERY_TRACE_URL=TRACE_URL
        )
        with (
            harness.worker(tmp_path, environ, "-P", "prefork", "-c", "1", app="sentry_app") as at,
            Celery(broker=url, set_as_current=False) as client,
        ):
            sent = {
                client.send_task(f"sentry_app.{task}", ("4242",)).id: kind
                for task, kind in ISSUES.items()
                for _ in range(2)
            }
            total = partial(harness.total, receiver, "celery.task.outcomes")
            eventually(lambda: total() == len(sent), 60)
            assert at.stop() == 0
        kinds = [kind for kind in ISSUES.values() if kind]

        def all_there() -> None:
            found = {kind: len(events) for kind, events in stored(server).items()}
            assert found == dict.fromkeys(kinds, 2)

        eventually(all_there, 30, 0.2)
        by_id = harness.deliveries(harness.spans(receiver))
        for kind, events in stored(server).items():
            for event in events:
                (span,) = by_id[event["tags"]["celery_task_id"]]
                assert sent[span.attributes["messaging.message.id"]] == kind
                told = event["contexts"]["trace"]
                assert (told["trace_id"], told["span_id"]) == (span.trace, span.id)
                link = TRACE_URL.replace("{trace_id}", span.trace)
                assert event["contexts"]["OpenTelemetry"]["trace_url"] == link
                assert event["tags"]["trace_url"] == link
                assert event["tags"]["celery.task.state"] == span.attributes["celery.task.state"]
