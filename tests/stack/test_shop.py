"""One click, four views: graph, trace, error and alert of one shop agree with its own books."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import pytest

from otel_celery import conventions as c
from tests.stack.day import Day, ask, attributes, line_of_services
from tests.waiting import eventually

KILLED = {"shop.resize_photo": c.LOST, "shop.book_courier": c.TIMEOUT}


def process_spans(traces: Iterable[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    return [
        span
        for trace in traces
        for span in trace["spans"]
        if span["operationName"] == f"process {task}"
    ]


def test_prometheus_counts_what_the_books_say(day: Day):
    """Through a Collector that was killed and a Prometheus that was, to the last delivery."""
    assert all(day.books.values()), "the shop was not open long enough"
    assert day.outcomes() == day.expected()


def test_no_counter_began_anew(day: Day):
    assert day.query("resets(celery_task_outcomes_total[15m]) > 0") == []


def test_sent_is_consumed_and_consumed_has_ended(day: Day):
    """The ledger at rest, for each queue and for the worker."""
    sent = "sum(messaging_client_sent_messages_total{error_type=''})"
    consumed = "sum(messaging_client_consumed_messages_total{celery_task_redelivered=''})"
    eventually(lambda: day.value(f"{sent} - {consumed}") == 0, every=1)
    every = "sum(messaging_client_consumed_messages_total)"
    assert day.value(f"{every} - sum(celery_task_outcomes_total)") == 0


@pytest.mark.parametrize("task", KILLED)
def test_each_killed_task_has_its_whole_trace(day: Day, task: str):
    """From the customer's click to the process that died, with what it had done before."""
    wish = {"shop.resize_photo": "photo", "shop.book_courier": "courier"}[task]
    killed = len(day.books[wish])
    traces = eventually(lambda: found if len(found := day.traces(task)) >= killed else None)
    assert len(traces) == killed
    for trace in traces:
        (ended,) = process_spans([trace], task)
        assert attributes(ended)[c.TASK_STATE] == KILLED[task]
        line = line_of_services(trace)
        assert line[:2] == [
            ("shop-web", f"POST /orders/{wish}"), ("shop-web", f"publish {task}"),
        ]  # fmt: skip
        assert ("shop-worker", f"process {task}") in line
        if wish == "photo":
            assert ("shop-worker", "load photo") in line


def test_exemplar_of_a_slow_task_leads_to_its_trace(day: Day):
    found = ask(
        f"{day.prometheus}/api/v1/query_exemplars",
        query='messaging_process_duration_seconds_bucket{celery_task_name="shop.book_courier"}',
        start="2020-01-01T00:00:00Z", end="2100-01-01T00:00:00Z",
    )  # fmt: skip
    ids = {one["labels"]["trace_id"] for series in found["data"] for one in series["exemplars"]}
    assert ids
    for trace_id in ids:
        (trace,) = ask(f"{day.jaeger}/api/traces/{trace_id}")["data"]
        assert line_of_services(trace)[0] == ("shop-web", "POST /orders/courier")
        assert process_spans([trace], "shop.book_courier")


@pytest.mark.parametrize("task", [*KILLED, "shop.apply_voucher"])
def test_each_failure_is_an_event_with_its_trace_id(day: Day, task: str):
    """One event for each failure, and all of one task are one issue."""
    wishes = {
        "shop.resize_photo": "photo",
        "shop.book_courier": "courier",
        "shop.apply_voucher": "voucher",
    }
    expected = {trace["traceID"] for trace in day.traces(task)}
    assert len(expected) == len(day.books[wishes[task]])

    def told() -> list[str]:
        found = []
        for issue in day.stack.errors.api("issues/?project=1")["results"]:
            for row in day.stack.errors.api(f"events/?issue={issue['id']}")["results"]:
                event = day.stack.errors.api(f"events/{row['id']}/")["data"]
                if dict(event["tags"]).get("celery.task.name") == task:
                    found.append(event["contexts"]["trace"]["trace_id"])
        return found

    def all_told() -> None:
        assert sorted(told()) == sorted(expected)

    eventually(all_told, every=1)


def test_service_graph_leads_from_web_to_worker(day: Day):
    edge = 'traces_service_graph_request_total{client="shop-web", server="shop-worker"}'
    eventually(lambda: day.value(f"sum({edge})") > 0, every=1)
    now = round(time.time() * 1000)
    found = ask(f"{day.jaeger}/api/dependencies", endTs=now, lookback=3_600_000)
    edges = {(one["parent"], one["child"]) for one in found["data"]}
    assert ("shop-web", "shop-worker") in edges
    assert ("shop-beat", "shop-worker") in edges


def test_jaeger_shows_rate_and_duration_of_tasks(day: Day):
    """Service performance monitoring, from the Collector's span metrics."""
    found = ask(
        f"{day.jaeger}/api/metrics/calls",
        service="shop-worker", spanKind="consumer", groupByOperation="true", lookback=3600000,
        ratePer=600000, step=5000,
    )  # fmt: skip
    operations = {
        label["value"]
        for metric in found["metrics"]
        for label in metric["labels"]
        if label["name"] == "operation"
    }
    assert {"process shop.resize_photo", "process shop.reserve_stock"} <= operations


def test_alerts_that_should_fire_do_and_no_others(day: Day):
    """A shop in which processes are killed; what needs minutes to be sure of is still waiting."""
    expected = {
        ("CeleryTaskKilled", "shop.resize_photo", c.LOST),
        ("CeleryTaskKilled", "shop.book_courier", c.TIMEOUT),
        ("CeleryPoolProcessesDying", None, None),
    }

    def firing() -> set[tuple[str, str | None, str | None]]:
        alerts = ask(f"{day.prometheus}/api/v1/alerts")["data"]["alerts"]
        return {
            (
                alert["labels"]["alertname"],
                alert["labels"].get("celery_task_name"),
                alert["labels"].get("celery_task_state"),
            )
            for alert in alerts
            if alert["state"] == "firing"
        }

    eventually(lambda: firing() == expected, every=1)
    told = eventually(lambda: ask(f"{day.stack.url('alertmanager', 9093)}/api/v2/alerts"), every=1)
    assert {alert["labels"]["alertname"] for alert in told} <= {name for name, *_ in expected}


LOOK_BACK_DAYS = {
    "celery:workers_expected",
    "celery:duration:longest_p99",
    "celery:oldest_active:longest",
}
"""Evaluated every two minutes, so that they may not have been by now."""
NO_VALUE_HERE = LOOK_BACK_DAYS | {
    "celery:ledger_queue:difference",  # needs to know what a queue held an hour ago
    "celery:worker_memory_ratio",  # without a limit, of what?
}


def test_every_recording_rule_has_a_value(day: Day):
    def rules() -> list[dict[str, Any]]:
        groups = ask(f"{day.prometheus}/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def all_are_well() -> None:
        """Those of a minute's interval are unknown for up to a minute after Prometheus's return."""
        unwell = {rule["name"] for rule in rules() if rule["health"] != "ok"}
        assert unwell <= LOOK_BACK_DAYS

    eventually(all_are_well, timeout=90, every=1)
    recorded = {rule["name"] for rule in rules() if rule["type"] == "recording"}
    assert recorded >= NO_VALUE_HERE
    for name in sorted(recorded - NO_VALUE_HERE):
        # Rates are over when the shop has been closed for minutes: it is its day that counts.
        eventually(lambda name=name: day.query(f"last_over_time({name}[1h])"), every=1)
