from __future__ import annotations

import json

import pytest

from otel_celery.cli.verdict import judge, judge_exits, report
from otel_celery.view.records import Snapshot
from tests.unit.cli_wire import NOW, filled

WELL = {"shop-web": 0, "shop-worker": 0}


def test_a_ledger_that_holds_and_a_complete_trace_are_enough():
    verdict = judge(filled().snapshot(), NOW, WELL)
    assert (verdict.ok, verdict.missing, verdict.complete_traces) == (True, [], 1)


@pytest.mark.parametrize(
    ("snapshot", "missing"),
    [
        pytest.param(
            filled().snapshot()._replace(traces={}),
            ["no trace leads from a caller over its publish to the task"],
            id="no-trace",
        ),
        pytest.param(
            Snapshot({}, {}, filled().snapshot().traces),
            [
                "the ledger does not hold: "
                "no published message was counted (messaging.client.sent.messages)"
            ],
            id="no-metrics",
        ),
    ],
)
def test_what_is_missing_is_said(snapshot, missing):
    assert judge(snapshot, NOW, WELL).missing == missing


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        pytest.param(0, [], id="well"),
        pytest.param(3, ["shop-web ended with 3"], id="badly"),
    ],
)
def test_programs_must_end_well(status, missing):
    assert judge_exits({"shop-web": status}).missing == missing


def test_the_report_is_json_with_all_figures():
    snapshot = filled().snapshot()
    told = report(snapshot, NOW, judge(snapshot, NOW, WELL), "redis")
    assert json.loads(json.dumps(told)) == told
    assert told["ledger"] == {
        "published": 10,
        "ended": 6,
        "waiting": 3,
        "running": 1,
        "received": 9,
        "spoken": 7,
        "held": 2,
    }
    assert told["tasks"][0] | {"wait": None, "run": None} == {
        "name": "pay",
        "runs": 7,
        "ok": 3,
        "failed": 1,
        "expected": 1,
        "retried": 1,
        "requeued": 1,
        "lost": 0,
        "timeout": 0,
        "wait": None,
        "run": None,
    }
    assert told["tasks"][0]["run"] == pytest.approx({"p50": 0.07, "p95": 0.8425})
    assert [row["name"] for row in told["traces"]["shown"]] == [
        "POST /orders/invoice",
        "publish pay",
        "process pay",
        "ask the bank",
    ]
