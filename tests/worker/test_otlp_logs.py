"""What tasks log arrives over OTLP: once, with the ids of the span it was said in."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from celery import Celery
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.receiver import Answer, Receiver
from tests.services import free_port
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.test_matrix import POOLS

QUIET = ("--without-mingle", "--without-gossip")
PREFORK = (*QUIET, "-P", "prefork", "-c", "2")
CANARY = "canary-7f3a"


class Line(NamedTuple):
    """One record, with what makes it easy to find."""

    record: LogRecord
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    logger: str

    @property
    def body(self) -> str:
        return self.record.body.string_value

    @property
    def ids(self) -> tuple[str, str]:
        return self.record.trace_id.hex(), self.record.span_id.hex()


def lines(receiver: Receiver) -> list[Line]:
    """Return all log records, in the order in which they came."""
    return [
        Line(
            record,
            harness.plain(record.attributes),
            harness.plain(by_resource.resource.attributes),
            by_scope.scope.name,
        )
        for request in receiver.logs
        for by_resource in request.resource_logs
        for by_scope in by_resource.scope_logs
        for record in by_scope.log_records
    ]


def said(receiver: Receiver, task_id: str) -> list[str]:
    """Return what a task said."""
    return [one.body for one in lines(receiver) if one.attributes["celery.task.id"] == task_id]


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return environ | {"OTEL_LOGS_EXPORTER": "otlp"}


@pytest.fixture(params=harness.long_but("prefork", "gevent", *POOLS))
def pool(request: pytest.FixtureRequest, environ: dict[str, str]) -> tuple[str, ...]:
    """Return the arguments of a worker of each pool."""
    if request.param == "spawn":
        environ["CASES_SPAWN"] = "1"
    return (*QUIET, *POOLS[request.param])


def test_each_line_of_a_task_arrives_once_with_the_ids_of_its_span(
    tmp_path: Path,
    environ: dict[str, str],
    receiver: Receiver,
    client: Celery,
    pool: tuple[str, ...],
) -> None:
    """From each kind of logger; nothing from outside of tasks, nor arguments and results."""
    with harness.worker(tmp_path, environ, *pool, app="talking_app") as worker:
        sent = [client.send_task("talk.speaks", (CANARY,)) for _ in range(3)]
        failing = client.send_task("talk.fails", (CANARY,))
        for one in (*sent, failing):
            one.get(timeout=20, propagate=False)
        assert worker.stop() == 0
    process = {id_: one for id_, (one,) in harness.deliveries(harness.spans(receiver)).items()}
    inner = {one.parent: one for one in harness.spans(receiver) if one.span.name == "inner"}
    found = lines(receiver)
    for one in sent:
        own = process[one.id]
        here, within = (own.trace, own.id), (own.trace, inner[own.id].id)
        told = [line for line in found if line.attributes["celery.task.id"] == one.id]
        assert [(line.body, line.logger, line.record.severity_text, line.ids) for line in told] == [
            ("by the task's logger", "talking_app", "INFO", here),
            ("by a plain one", "elsewhere", "WARN", here),
            ("by one without handlers", "alone", "ERROR", here),
            ("within a span", "talking_app", "INFO", within),
            ("with an exception", "elsewhere", "ERROR", here),
            ("printed", "celery.redirected", "WARN", here),
        ]
        assert {line.attributes["celery.task.name"] for line in told} == {"talk.speaks"}
        assert told[0].attributes["cart"] == 3
        assert told[0].attributes["code.function.name"] == "speaks"
        assert told[4].attributes["exception.type"] == "ValueError"
        assert told[4].attributes["exception.message"] == "boom"
        assert "in speaks" in told[4].attributes["exception.stacktrace"]
        assert told[0].resource == own.resource
    assert said(receiver, failing.id) == ["about to fail"]
    assert len(found) == 6 * len(sent) + 1
    assert CANARY not in repr(receiver.logs)
    assert CANARY in worker.log  # Celery itself does log it
    assert "fault in" not in worker.log
    assert harness.total(receiver, "otel.sdk.exporter.log.exported") == len(found)
    assert harness.points(receiver, "otel_celery.faults") == []


@pytest.mark.parametrize("variables", [
    pytest.param({}, id="hijacked"),
    pytest.param({"CASES_HIJACK": "no"}, id="own-root-logger"),
    pytest.param({"CASES_REDIRECT": "no"}, id="no-redirect"),
])  # fmt: skip
def test_the_console_says_what_it_said_before(
    tmp_path: Path,
    environ: dict[str, str],
    receiver: Receiver,
    client: Celery,
    variables: dict[str, str],
) -> None:
    """Line by line, whoever has set up logging; ids, pids, times and ports aside."""
    logs, arrived = [], []
    for exporter in ("none", "otlp"):
        environ |= {**variables, "OTEL_LOGS_EXPORTER": exporter}
        with harness.worker(tmp_path, environ, *QUIET, "-c", "1", app="talking_app") as worker:
            client.send_task("talk.speaks", ("x",), task_id=f"id-{exporter}").get(timeout=20)
            assert worker.stop() == 0
        words = ("by ", "within", "with an", "printed", "outside", "as Celery", "boom", "OWN ")
        kept = [line for line in worker.log.splitlines() if any(word in line for word in words)]
        logs.append([line.split("] ")[-1] for line in kept if "talk.speaks" not in line])
        arrived.append(len(said(receiver, f"id-{exporter}")))
    assert logs[0] == logs[1] != []
    assert arrived == [0, 5 if "CASES_REDIRECT" in variables else 6]


def test_nothing_is_exported_unless_asked_for(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """The variable is off by default, and its metrics are not there then."""
    del environ["OTEL_LOGS_EXPORTER"]
    with harness.worker(tmp_path, environ, *PREFORK, app="talking_app") as worker:
        client.send_task("talk.speaks", ("x",)).get(timeout=20)
        assert worker.stop() == 0
    assert receiver.logs == []
    assert harness.points(receiver, "otel.sdk.processor.log.queue.size") == []


def test_an_application_with_its_own_provider_is_left_alone(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """Its records would arrive twice."""
    environ["CASES_OWN_LOGS"] = "1"
    with harness.worker(tmp_path, environ, *PREFORK, app="talking_app") as worker:
        client.send_task("talk.speaks", ("x",)).get(timeout=20)
        assert worker.stop() == 0
    assert receiver.logs == []


def test_the_last_words_of_a_killed_task_arrive(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """They are in main before the process dies."""
    with harness.worker(tmp_path, environ, *PREFORK, app="talking_app") as worker:
        killed = client.send_task("talk.dies").id

        def lost() -> None:
            told = harness.deliveries(harness.spans(receiver))[killed]
            assert [span.attributes["celery.task.state"] for span in told] == ["lost"]
            assert said(receiver, killed) == [f"last words {number}" for number in range(20)]

        eventually(lost)
        assert worker.stop() == 0
    (span,) = harness.deliveries(harness.spans(receiver))[killed]
    assert {one.ids for one in lines(receiver)} == {(span.trace, span.id)}
    assert len(lines(receiver)) == 20


def test_a_task_that_logs_much_loses_nothing_uncounted(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery
) -> None:
    """What arrives and what was dropped come to what was said, also at a warm stop."""
    much = 5_000
    with harness.worker(tmp_path, environ, *PREFORK, app="talking_app") as worker:
        sent = client.send_task("talk.chats", (much, 1.0))
        eventually(lambda: client.backend.client.exists(f"mark:started:{sent.id}") == 1)
        assert worker.stop(signal.SIGTERM) == 0
    found = Counter(said(receiver, sent.id))
    assert set(found.values()) == {1}
    dropped = harness.total(receiver, "otel_celery.relay.dropped")
    assert len(found) + dropped == much + 1
    assert f"line {much}" in found


@pytest.mark.parametrize(
    "silent", [pytest.param(False, id="dead"), pytest.param(True, id="silent")]
)
def test_without_a_collector_tasks_go_on_and_a_stop_keeps_its_budget(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, client: Celery, silent: bool
) -> None:
    """However much they have logged."""
    environ["OTEL_CELERY_FLUSH_TIMEOUT"] = "1"
    if silent:
        receiver.answers.extend([Answer(stall=True)] * 1000)
    else:
        environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    with harness.worker(tmp_path, environ, *PREFORK, app="talking_app") as worker:
        sent = [client.send_task("talk.chats", (500,)) for _ in range(10)]
        for one in sent:
            one.get(timeout=20)
        stopping = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - stopping < 10
        assert "fault in" not in worker.log
