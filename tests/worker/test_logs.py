"""A log line of a task says which trace, span and task it belongs to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from celery import Celery

from tests.receiver import receiving
from tests.worker import harness
from tests.worker.harness import CONSUMER, NODE

LINE = re.compile(r"(INSIDE|OUTSIDE) trace=(\w*) span=(\w*) said=(.*) \[([\w-]*)\]$", re.MULTILINE)


class Line(NamedTuple):
    """What a line of the worker's log says."""

    format: str
    trace: str
    span: str
    task: str


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_log_records_of_tasks_carry_their_ids(tmp_path: Path, pool: str) -> None:
    """All loggers, within a span of the user's too; outside of tasks the fields are empty."""
    with harness.broker(tmp_path) as url, receiving() as receiver:
        environ = harness.environment(url, receiver)
        arguments = ("--without-mingle", "--without-gossip", "-P", pool, "-c", "1")
        client = Celery(broker=url, backend=environ["CASES_BACKEND"], set_as_current=False)
        with (
            client,
            harness.worker(tmp_path, environ, *arguments, app="logging_app") as worker,
        ):
            sent = client.send_task("logging.speaks")
            trace, inner = sent.get(timeout=60)
            assert worker.stop() == 0
        lines = {
            said: Line(by, trace_id, span_id, task_id)
            for by, trace_id, span_id, said, task_id in LINE.findall(worker.log)
        }
        (process,) = (one for one in harness.spans(receiver) if one.span.kind == CONSUMER)
        assert process.trace == trace
        assert lines == {
            "by the task's logger": Line("INSIDE", trace, process.id, sent.id),
            "by a plain one": Line("OUTSIDE", trace, process.id, sent.id),
            "within a span": Line("INSIDE", trace, inner, sent.id),
            "outside of tasks": Line("OUTSIDE", "", "", ""),
        }
        assert f"OUTSIDE trace= span= said={NODE} ready." in worker.log
        assert "Logging error" not in worker.log
