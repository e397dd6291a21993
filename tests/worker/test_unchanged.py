"""Celery does with us exactly what it does without us."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from tests.receiver import receiving
from tests.waiting import eventually
from tests.worker import harness

CASES = (
    "success", "failure", "expected_failure", "retry", "ignore", "reject", "requeue", "soft_limit",
    "hard_limit", "killed", "lost_and_requeued", "revoked_waiting", "expired", "unknown",
    "garbage_eta", "topic_retry", "eta", "nested", "chain", "group", "chord", "eager_inside",
)  # fmt: skip
WITHOUT_RESULT = {"ignore", "garbage_eta"}
OURS = {"traceparent", "otel-celery-sent", "otel-celery-origin"}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|Job: \d+")  # that differ from run to run


class Kept(NamedTuple):
    """What is left in broker and backend when all has ended."""

    results: Mapping[str, Any]
    headers: Mapping[str, Any]
    lines: Mapping[str, int]


def keep(folder: Path, **variables: str) -> Kept:
    """Run the cases in one worker, then look at what it stored, left and logged."""
    folder.mkdir()
    with harness.broker(folder) as url, receiving() as receiver:
        environ = harness.environment(url, receiver, **variables)
        with harness.worker(folder, environ, "-P", "prefork", "-c", "3") as worker:
            sent = json.loads(harness.run(environ, "drive.py", *CASES))
            with redis.Redis.from_url(environ["CASES_BACKEND"]) as backend:

                def stored() -> dict[str, Any]:
                    found = {}
                    for case in set(CASES) - WITHOUT_RESULT:
                        for number, task_id in enumerate(sent[case]):
                            meta = json.loads(backend.get(f"celery-task-meta-{task_id}") or "{}")
                            assert meta.get("status") not in (None, "RETRY"), case
                            found[f"{case}-{number}"] = {
                                "status": meta["status"],
                                "result": ID.sub("ID", json.dumps(meta["result"])),
                                "children": len(meta["children"] or ()),
                                "traceback": (meta["traceback"] or "").rstrip().split("\n")[-1],
                            }
                    return found

                results = eventually(stored)
            harness.run(environ, "hold.py", "1")
            eventually(lambda: "celery" in worker.log)
            assert worker.stop() == 0
            log = worker.log
        with redis.Redis.from_url(url) as left:
            raw = left.lindex("celery", 0)
            assert raw is not None, "the message that was held went back to its queue"
            message = json.loads(raw)
    said = ("received", "succeeded", "raised unexpected", "retry:", "Discarding revoked")
    return Kept(
        results,
        {"headers": message["headers"], "properties": message["properties"]},
        {words: sum(words in line for line in log.splitlines()) for words in said},
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Kept, Kept]:
    """Return what is kept without us, and with us."""
    folder = tmp_path_factory.mktemp("unchanged")
    return keep(folder / "without", OTEL_SDK_DISABLED="true"), keep(folder / "with")


def test_results_states_and_tracebacks_are_the_same(kept: tuple[Kept, Kept]) -> None:
    """For every way to end; what a task raised has the same class, text and last line."""
    without, with_us = kept
    assert with_us.results == without.results


def test_messages_carry_our_headers_and_nothing_else(kept: tuple[Kept, Kept]) -> None:
    """The headers of the contract and the timestamp property of AMQP; all others as ever."""
    without, with_us = kept
    assert with_us.headers["headers"].keys() - without.headers["headers"].keys() == OURS - {
        "otel-celery-origin"
    }
    assert without.headers["headers"].keys() <= with_us.headers["headers"].keys()
    assert with_us.headers["properties"].keys() == without.headers["properties"].keys() | {
        "timestamp"
    }


def test_the_worker_logs_the_same_lines(kept: tuple[Kept, Kept]) -> None:
    """As many tasks were received, ended, retried and discarded."""
    without, with_us = kept
    assert with_us.lines == without.lines
