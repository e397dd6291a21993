"""What a Sentry event says of a task, and what it may not say."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timezone
from typing import Any

import pytest

from otel_celery.facts import Failure
from otel_celery.sentry_event import (
    About,
    clean,
    label,
    limit_arguments,
    made_by_main,
    told_by_main,
)
from tests.unit.stand_ins import NS, OWN, delivery, ended

CONSUMER = "celery.worker.consumer.consumer"
ABOUT = About("shop.pay", "id-1", "orders", "w@host", 2, OWN.trace_id, OWN.span_id)
TAGS = {
    "celery.task.name": "shop.pay",
    "celery_task_id": "id-1",
    "messaging.destination.name": "orders",
    "celery.worker.name": "w@host",
    "celery.task.retries": "2",
}
IDS = {"trace_id": OWN.trace_id, "span_id": OWN.span_id}
URL = f"https://jaeger.example/trace/{OWN.trace_id}"


@pytest.mark.parametrize(
    ("state", "template", "tags", "where"),
    [
        pytest.param("", "", {}, {}, id="running"),
        pytest.param("failure", "", {"celery.task.state": "failure"}, {}, id="ended"),
        pytest.param(
            "", "https://jaeger.example/trace/{trace_id}", {"trace_url": URL}, {"trace_url": URL},
            id="link",
        ),
        pytest.param(
            "", "h://" + "x" * 200 + "{trace_id}", {},
            {"trace_url": "h://" + "x" * 200 + OWN.trace_id}, id="too-long-for-a-tag",
        ),
    ],
)  # fmt: skip
def test_an_event_says_of_which_delivery_it_is(
    state: str, template: str, tags: dict[str, str], where: dict[str, str]
) -> None:
    """Tags to search by, the ids, and the address of the trace; what was there stays."""
    event: dict[str, Any] = {"tags": {"shop": "corner"}, "contexts": {"trace": {}}}
    label(event, ABOUT, state, template)
    assert event == {
        "transaction": "shop.pay",
        "tags": {"shop": "corner", **TAGS, **tags},
        "contexts": {"trace": {}, "OpenTelemetry": {**IDS, **where}},
    }


def test_a_transaction_that_was_named_keeps_its_name() -> None:
    event = {"transaction": "named"}
    label(event, ABOUT, "", "")
    assert event["transaction"] == "named"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        pytest.param(
            Failure("WorkerLostError", "", "signal 9 at redis://u:secret@h", "text"),
            ("WorkerLostError", "signal 9 at redis://***@h"),
            id="told",
        ),
        pytest.param(None, ("Lost", "shop.pay"), id="no-word"),
    ],
)
def test_mains_own_event_is_grouped_by_state_and_task(
    failure: Failure | None, said: tuple[str, str]
) -> None:
    """It has no stack to be grouped by."""
    last = ended(delivery("shop.pay"), "lost", error_type="Lost")._replace(
        failure=(lambda: failure) if failure is not None else None, end_ns=1_700_000_000 * NS
    )
    assert made_by_main(ABOUT, last) == {
        "level": "error",
        "timestamp": datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc),
        "fingerprint": ["celery", "lost", "shop.pay"],
        "exception": {
            "values": [
                {
                    "type": said[0],
                    "value": said[1],
                    "mechanism": {"type": "otel-celery", "handled": False},
                }
            ]
        },
    }


@pytest.mark.parametrize(
    ("extra", "request_", "left"),
    [
        pytest.param({"celery-job": {"args": [1], "kwargs": {"a": 1}}}, None, {}, id="all-of-it"),
        pytest.param(
            {"celery-job": {"task_name": "t", "args": [1]}, "mine": 1},
            None,
            {"celery-job": {"task_name": "t"}, "mine": 1},
            id="the-rest-stays",
        ),
        pytest.param({}, None, {}, id="nothing-there"),
        pytest.param(
            {},
            {"argsrepr": "('redis://u:p@h',)", "kwargsrepr": "x" * 2000},
            {"celery-job": {"args": "('redis://***@h',)", "kwargs": "x" * 1023 + "…"}},
            id="captured",
        ),
    ],
)
def test_arguments_leave_only_where_they_are_captured(
    extra: dict[str, Any], request_: dict[str, str] | None, left: dict[str, Any]
) -> None:
    """Then cut and redacted."""
    event = {"extra": extra}
    limit_arguments(event, request_)
    assert event == {"extra": left}


@pytest.mark.parametrize("stacks", ["exception", "threads"])
def test_frames_that_are_handed_everything_keep_no_variables(stacks: str) -> None:
    """In threads as well: so a log record without an exception tells its stack."""
    modules = ["celery.app.trace", "billiard.pool", "otel_celery.sentry_task", "celery_shop", None]
    frames = [{"module": module, "vars": {"args": "secret"}} for module in modules]
    limit_arguments({stacks: {"values": [{"stacktrace": {"frames": frames}}, {}]}}, None)
    assert [frame["module"] for frame in frames if "vars" in frame] == ["celery_shop", None]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        pytest.param(
            {"logger": CONSUMER, "logentry": {"message": "Received unregistered task of type %s."}},
            True,
            id="unknown-task",
        ),
        pytest.param(
            {"logger": CONSUMER, "logentry": {"message": "consumer: Cannot connect to %s: %s."}},
            False,
            id="broker",
        ),
        pytest.param(
            {"logger": "shop", "logentry": {"message": "Received invalid task message"}},
            False,
            id="somebody-elses",
        ),
        pytest.param({"logger": CONSUMER}, False, id="no-words"),
        pytest.param({}, False, id="no-log-record"),
    ],
)
def test_what_celery_logs_of_a_message_is_no_second_event(
    event: dict[str, Any], told: bool
) -> None:
    """Main reports the message itself."""
    assert told_by_main(event) is told


def test_credentials_and_bodies_of_messages_are_taken_out() -> None:
    """Wherever the text stands."""
    url, clear = "redis://u:p@h", "redis://***@h"
    other = object()
    event = {
        "exception": {"values": [{"value": f"boom at {url}", "frames": [{"vars": {"a": url}}]}]},
        "extra": {"argv": (url, 3), "odd": other},
        "breadcrumbs": {
            "values": [
                {"category": CONSUMER, "message": "Can't decode message body: secret"},
                {"category": "shop", "message": url},
            ]
        },
    }
    before = deepcopy(event["exception"]), deepcopy(event["breadcrumbs"])
    assert clean(event) == {
        "exception": {
            "values": [{"value": f"boom at {clear}", "frames": [{"vars": {"a": clear}}]}]
        },
        "extra": {"argv": (clear, 3), "odd": other},
        "breadcrumbs": {"values": [{"category": "shop", "message": clear}]},
    }
    assert (event["exception"], event["breadcrumbs"]) == before  # the program's own objects


def test_an_endless_event_is_cleaned_in_time() -> None:
    """Sentry cuts it; so do we."""
    event: dict[str, Any] = {"text": "redis://u:p@h"}
    event["self"] = event
    assert clean(event)["text"] == "redis://***@h"
