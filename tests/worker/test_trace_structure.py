"""What a worker makes of the context in a message, be it honest, forged or malformed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from celery import Celery

from tests.receiver import receiving
from tests.worker import harness
from tests.worker.forge import HEADERS, SPAN, TRACE
from tests.worker.harness import PRODUCER, Seen

ARGUMENTS = ("--without-mingle", "--without-gossip", "-c", "1", "-P")
FOLLOWED = {"good", "unsampled", "odd state", "odd stamp", "baggage"}


class Told(NamedTuple):
    """What a worker told of an honest publisher's tasks and of forged ones."""

    honest: list[Seen]  # of a task, and of two attempts at another
    forged: Mapping[str, list[Seen]]
    published: Mapping[str, Seen]
    results: Mapping[str, Any]
    forged_count: float


def told(folder: Path, pool: str, **variables: str) -> Told:
    """Run a worker and both senders with some variables."""
    with harness.broker(folder) as url, receiving() as receiver:
        environ = harness.environment(url, receiver, **variables)
        client = Celery(broker=url, backend=environ["CASES_BACKEND"], set_as_current=False)
        with (
            client,
            harness.worker(folder, environ, *ARGUMENTS, pool, app="structure_app") as worker,
        ):
            honest = json.loads(harness.run(environ, "structure_app.py"))
            forged = json.loads(harness.run(environ, "forge.py"))
            results = {
                name: client.AsyncResult(task_id).get(timeout=60)
                for name, task_id in {"honest": honest[0], "retried": honest[1], **forged}.items()
            }
            assert worker.stop() == 0
        seen = harness.spans(receiver)
        found = harness.deliveries(seen)
        assert harness.points(receiver, "otel_celery.faults") == []
        return Told(
            [one for task_id in honest for one in found[task_id]],
            {trick: found.get(task_id, []) for trick, task_id in forged.items()},
            {one.id: one for one in seen if one.span.kind == PRODUCER},
            results,
            harness.total(
                receiver, "celery.task.outcomes",
                celery__task__state="success", celery__task__name="structure.baggage",
            ),
        )  # fmt: skip


def links(one: Seen) -> list[tuple[str, str]]:
    """Return the trace and span of each link."""
    return [(link.trace_id.hex(), link.span_id.hex()) for link in one.span.links]


@pytest.mark.parametrize(
    ("structure", "pool"), [("parent", "prefork"), ("link", "threads"), ("ignore", "solo")]
)
def test_a_context_is_followed_linked_or_ignored(tmp_path: Path, structure: str, pool: str) -> None:
    """A valid one as the setting says, any other never; all tasks run and are counted."""
    found = told(tmp_path, pool, OTEL_CELERY_TRACE_STRUCTURE=structure)
    assert found.results["honest"] == found.results["baggage"] == {}
    assert len(found.honest) == 3
    assert {one.trace for one in found.published.values()} == {TRACE}
    sent: defaultdict[str, set[str]] = defaultdict(set)
    for each in found.published.values():
        sent[each.attributes["messaging.message.id"]].add(each.id)
    for one in found.honest:
        senders = sent[one.attributes["messaging.message.id"]]
        if structure == "parent":
            assert (one.trace, one.parent in senders, links(one)) == (TRACE, True, [])
        else:
            linked = {(TRACE, sender) for sender in senders}
            assert one.parent == ""
            assert len(links(one)) == (structure == "link")
            assert set(links(one)) <= linked
    assert len({one.trace for one in found.honest}) == (1 if structure == "parent" else 3)
    for trick, spans in found.forged.items():
        if trick == "unsampled" and structure == "parent":
            assert spans == []
            continue
        (one,) = spans
        followed = trick in FOLLOWED
        if structure == "parent" and followed:
            assert (one.trace, one.parent) == (TRACE, SPAN), trick
        else:
            assert (one.trace == TRACE, one.parent) == (False, ""), trick
        expected = [(TRACE, SPAN)] if structure == "link" and followed else []
        assert links(one) == expected, trick
        state = "vendor=1" if trick == "good" and structure == "parent" else ""
        assert one.span.trace_state == state, trick
    assert found.forged_count == len(HEADERS) + 1


def test_baggage_goes_along_only_where_it_was_asked_for(tmp_path: Path) -> None:
    """It comes from whoever can send a message."""
    results = told(tmp_path, "prefork", OTEL_PROPAGATORS="tracecontext,baggage").results
    assert results["honest"] == {"customer": "known"}
    assert results["baggage"] == {"customer": "forged"}
    assert results["good"] == {}
