"""Errors in Sentry: one event for each final failure, with the ids of its process span."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests import sentry_receiver
from tests.receiver import Answer, Receiver, receiving
from tests.services import free_port
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.expected import CASES, LATE
from tests.worker.harness import Seen
from tests.worker.test_matrix import POOLS, all_ended, cases

Events = Sequence[Mapping[str, Any]]

CANARY = "4242-4242-4242-4242"
TRACE_URL = "https://jaeger.example/trace/{trace_id}"
BUDGET = 1.0  # seconds for what is left at a stop
JOINED = ("plain", "explicit", "personal", "without-celery", "without-dedupe")
# What ends its process goes first: with it goes what another task had not sent yet.
DEADLY = ("hard_limit", "killed", "sys_exit", "lost_and_requeued", "terminated")
OWN_TASKS = {  # task of sentry_app: (argument, states, type of the one event)
    "lost": ((CANARY,), ("lost",), "WorkerLostError"),
    "refused": ((CANARY,), ("failure",), "ValueError"),
    "paid": ((CANARY,), ("success",), None),
    "tried_again": ((CANARY,), ("retry", "failure"), "OSError"),
    "told_by_itself": ((), ("failure",), "ValueError"),
    "odd_result": ((), ("failure",), "EncodeError"),
}


@pytest.fixture
def server() -> Any:
    """Yield where Sentry's events go."""
    with receiving() as made:
        yield made


def of(events: Events, task_id: str) -> list[Mapping[str, Any]]:
    return [event for event in events if event["tags"].get("celery_task_id") == task_id]


def kind(event: Mapping[str, Any]) -> str:
    told: str = event["exception"]["values"][-1]["type"]
    return told


def agree(event: Mapping[str, Any], span: Seen) -> None:
    """See that an event is of this process span, and says all that is promised."""
    told, trace = span.attributes, event["contexts"]["trace"]
    url = TRACE_URL.replace("{trace_id}", span.trace)
    assert (trace["trace_id"], trace["span_id"]) == (span.trace, span.id)
    assert event["contexts"]["OpenTelemetry"].items() >= {
        ("trace_id", span.trace), ("span_id", span.id), ("trace_url", url)
    }  # fmt: skip
    assert event["transaction"] == told["celery.task.name"]
    assert (
        event["tags"].items()
        >= {
            "celery_task_id": told["messaging.message.id"],
            "celery.task.name": told["celery.task.name"],
            "celery.task.state": told["celery.task.state"],
            "celery.task.retries": str(told.get("celery.task.retries", 0)),
            "celery.worker.name": harness.NODE,
            "messaging.destination.name": told["messaging.destination.name"],
            "trace_url": url,
        }.items()
    )


@pytest.mark.parametrize("pool", harness.long_but("prefork", "threads", *POOLS))
def test_each_final_failure_is_one_event_with_the_ids_of_its_span(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, server: Receiver, pool: str
) -> None:
    """Whatever ended it, in every pool; retries, expected errors and the like make none."""
    environ |= {"SENTRY_DSN": sentry_receiver.dsn(server), "OTEL_CELERY_TRACE_URL": TRACE_URL}
    if pool == "spawn":
        environ["CASES_SPAWN"] = "1"
    chosen = [case for case in cases(pool) if case not in LATE]
    sent: dict[str, list[str]] = {}
    with harness.worker(tmp_path, environ, *POOLS[pool]) as worker:
        for deadly in (True, False):
            round_ = [case for case in chosen if (case in DEADLY) is deadly]
            sent |= json.loads(harness.run(environ, "drive.py", *round_))
            eventually(partial(all_ended, sent, receiver), 60)
        assert worker.stop() == 0
    found = harness.deliveries(harness.spans(receiver))
    events = sentry_receiver.events(server)
    wanted = {case: sum(word.error for word in CASES[case][0]) for case in sent}
    told = {case: sum(len(of(events, id_)) for id_ in ids) for case, ids in sent.items()}
    assert told == wanted
    assert len(events) == sum(wanted.values()), [kind(event) for event in events]
    for event in events:
        agree(event, found[event["tags"]["celery_task_id"]][-1])
    assert {name for name, _ in sentry_receiver.items(server)} <= {"event", "client_report"}
    assert harness.points(receiver, "otel_celery.faults") == []


@pytest.mark.parametrize("how", harness.long_but("", "plain", *JOINED))
def test_started_by_us_or_joined_there_is_one_event_and_no_argument(
    tmp_path: Path,
    environ: dict[str, str],
    receiver: Receiver,
    server: Receiver,
    client: Celery,
    how: str,
) -> None:
    """However the application starts Sentry: the same events, and nothing of a task's data."""
    dsn = sentry_receiver.dsn(server)
    environ |= {"OTEL_CELERY_TRACE_URL": TRACE_URL}
    environ |= {"CASES_SENTRY": how, "CASES_DSN": dsn} if how else {"SENTRY_DSN": dsn}
    with harness.worker(tmp_path, environ, "-P", "prefork", "-c", "2", app="sentry_app") as worker:
        sent = {}
        for task, (args, _, _) in OWN_TASKS.items():
            sent[task] = client.send_task(f"sentry_app.{task}", args).id
            if task == "lost":
                eventually(partial(harness.total, receiver, "celery.task.outcomes"), 60)
        sent["unknown"] = client.send_task("no.such.task", (CANARY,)).id
        warned = client.send_task("sentry_app.warned").id
        deliveries = 2 + sum(len(states) for _, states, _ in OWN_TASKS.values())
        eventually(lambda: harness.total(receiver, "celery.task.outcomes") == deliveries, 60)
        assert worker.stop() == 0
    found = harness.deliveries(harness.spans(receiver))
    events = sentry_receiver.events(server)
    told = {task: tuple(kind(event) for event in of(events, id_)) for task, id_ in sent.items()}
    assert told == {
        **{task: (error,) if error else () for task, (_, _, error) in OWN_TASKS.items()},
        "unknown": ("NotRegistered",),
    }
    for task, id_ in sent.items():
        for event in of(events, id_):
            if task == "told_by_itself":  # while it ran, nobody knew what would become of it
                event["tags"]["celery.task.state"] = "failure"
            agree(event, found[id_][-1])
    (message,) = of(events, warned)
    assert message["logentry"]["message"] if "logentry" in message else message["message"]
    assert message["contexts"]["trace"]["span_id"] == found[warned][0].id
    assert "celery.task.state" not in message["tags"]
    assert of(events, sent["refused"])[0]["tags"]["shop"] == "corner"
    assert "shop" not in message["tags"]
    assert [event for event in events if "celery_task_id" not in event["tags"]] == []
    assert [one for one in sentry_receiver.envelopes(server) if CANARY.encode() in one.body] == []
    assert harness.points(receiver, "otel_celery.faults") == []


def test_with_sentrys_own_tracing_the_link_is_still_there(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, server: Receiver, client: Celery
) -> None:
    """Sentry's trace ids win where the application asked for them; ours stand beside."""
    environ |= {"CASES_SENTRY": "traced", "CASES_DSN": sentry_receiver.dsn(server)}
    with harness.worker(tmp_path, environ, "-P", "solo", app="sentry_app") as worker:
        sent = client.send_task("sentry_app.refused", (CANARY,)).id
        eventually(lambda: harness.deliveries(harness.spans(receiver)).get(sent))
        assert worker.stop() == 0
    ((span,),) = harness.deliveries(harness.spans(receiver)).values()
    (event,) = sentry_receiver.events(server)
    assert event["contexts"]["trace"]["trace_id"] != span.trace
    assert event["contexts"]["OpenTelemetry"] == {"trace_id": span.trace, "span_id": span.id}


def test_captured_arguments_are_told_as_spans_tell_them(
    tmp_path: Path, environ: dict[str, str], receiver: Receiver, server: Receiver, client: Celery
) -> None:
    """OTEL_CELERY_CAPTURE is asked for Sentry, too."""
    environ |= {"SENTRY_DSN": sentry_receiver.dsn(server), "OTEL_CELERY_CAPTURE": "args"}
    with harness.worker(tmp_path, environ, "-P", "solo", app="sentry_app") as worker:
        client.send_task("sentry_app.refused", ("redis://user:secret@host",))
        eventually(lambda: sentry_receiver.events(server))
        assert worker.stop() == 0
    (event,) = sentry_receiver.events(server)
    told = {"args": "('redis://***@host',)", "kwargs": "{}"}
    assert event["extra"]["celery-job"].items() >= told.items()


@pytest.mark.parametrize("how", ["", "plain"])
def test_messages_carry_no_header_of_sentrys(
    tmp_path: Path,
    environ: dict[str, str],
    redis_url: str,
    server: Receiver,
    client: Celery,
    how: str,
) -> None:
    """A message sent within a task has the headers that it has without Sentry."""
    dsn = sentry_receiver.dsn(server)
    names = []
    for variables in ({}, {"CASES_SENTRY": how, "CASES_DSN": dsn} if how else {"SENTRY_DSN": dsn}):
        own = {**environ, **variables}
        with harness.worker(tmp_path, own, "-P", "solo", app="sentry_app") as worker:
            client.send_task("sentry_app.sends").get(timeout=60)
            assert worker.stop() == 0
        with redis.Redis.from_url(redis_url) as raw:
            message = json.loads(raw.lpop("parked"))
        names.append({*message["headers"], *message["headers"].get("headers", {})})
    without, with_sentry = names
    assert "traceparent" in without
    # Where the application's own CeleryIntegration propagates, that is its choice.
    assert with_sentry - without <= ({"sentry-task-enqueued-time", "headers"} if how else set())
    assert without <= with_sentry


@pytest.mark.parametrize(
    "silent", [pytest.param(False, id="dead"), pytest.param(True, id="silent")]
)
def test_without_a_sentry_server_a_worker_works_and_stops(
    tmp_path: Path, environ: dict[str, str], server: Receiver, client: Celery, silent: bool
) -> None:
    """Tasks go on, and a stop takes no longer than the budget: Sentry's and ours are one."""
    environ["OTEL_CELERY_FLUSH_TIMEOUT"] = str(BUDGET)
    slack = 7  # seconds, on a busy machine; less than the 30 of Sentry's own timeout
    lasted = []
    for dsn in ("", "dead"):
        if dsn and silent:
            server.answers.extend([Answer(stall=True)] * 100)
            dsn = sentry_receiver.dsn(server)
        elif dsn:
            dsn = f"http://key@127.0.0.1:{free_port()}/1"
        own = {**environ, "SENTRY_DSN": dsn}
        with harness.worker(tmp_path, own, "-P", "prefork", "-c", "2", app="sentry_app") as worker:
            for task in ("refused", "lost"):
                with pytest.raises(Exception, match=r"refused|prematurely"):
                    client.send_task(f"sentry_app.{task}", (CANARY,)).get(timeout=60)
            assert client.send_task("sentry_app.paid", (CANARY,)).get(timeout=60) == CANARY
            stopping = time.monotonic()
            assert worker.stop() == 0
            lasted.append(time.monotonic() - stopping)
            assert "fault in" not in worker.log
    assert lasted[1] < lasted[0] + BUDGET + slack
