from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from otel_celery import conventions as c
from otel_celery.view.api import ALIVE, MOST, Observatory, plain
from otel_celery.view.deliveries import Wanted
from otel_celery.view.history import STEPS
from otel_celery.view.store import Limits, Store
from tests.unit.cli_wire import NOW, ORDER, PAY, WORKER, filled, metrics, number, span, traces
from tests.unit.test_view_deliveries import FAILED, PAID


def later(store: Store, seconds: float, **amounts: int) -> None:
    """Have the worker tell outcomes once more."""
    rows = [
        number(c.OUTCOMES, amount, {**PAY, c.TASK_STATE: state}, NOW + seconds)
        for state, amount in amounts.items()
    ]
    store.add_metrics(metrics(WORKER, *rows))


def test_a_task_has_its_counts_quantiles_and_rates():
    store = filled()
    seen = Observatory(store)
    seen.note(NOW)
    later(store, 10, success=23, failure=6)
    seen.note(NOW + 10)
    told = seen.tasks(NOW + 10)
    [row] = told["tasks"]
    assert len(told["times"]) == len(row["rate"]) == STEPS
    assert row["rate"][-2:] == told["ended"][-2:] == [2.5, 2.5]
    assert row["bad_rate"][-2:] == told["bad"][-2:] == [0.5, 0.5]
    del row["rate"], row["bad_rate"]
    assert row == {
        "name": "pay",
        "runs": 7,
        "outcomes": {c.SUCCESS: 23, c.FAILURE: 7, c.RETRY: 1, c.REQUEUED: 1},
        "expected": 1,
        "bad": 6,
        "wait": {"p50": pytest.approx(0.0875), "p95": 1.0},
        "run": {"p50": pytest.approx(0.07), "p95": pytest.approx(0.8425)},
    }


def test_a_queue_has_its_depth_age_and_who_takes_it():
    store = filled()
    store.add_metrics(metrics(WORKER, number(c.QUEUE_CONSUMING, 1, {c.QUEUE: "orders"})))
    seen = Observatory(store)
    seen.note(NOW)
    [row] = seen.queues(NOW)["queues"]
    assert row.pop("depth")[-1] == 2
    assert row == {
        "name": "orders",
        "waiting": 2,
        "oldest_age": 1.5,
        "unacked": 1,
        "consumers": None,
        "published": 10,
        "workers": ["celery@host"],
    }


def test_a_worker_has_its_heartbeat_and_what_it_holds():
    store = filled()
    store.add_metrics(metrics(WORKER, number(c.WORKER_MEMORY, 1024, {})))
    seen = Observatory(store)
    seen.note(NOW)
    [row] = seen.workers(NOW)["workers"]
    assert (row["active_line"][-1], row["memory_line"][-1]) == (1, 1024)
    told = {key: row[key] for key in ("alive", "active", "pool", "processed", "failed", "memory")}
    assert told == dict(alive=True, active=1, pool=4, processed=7, failed=1, memory=1024)


def test_what_a_silent_worker_holds_is_not_known():
    [row] = Observatory(filled()).workers(NOW + ALIVE)["workers"]
    assert (row["alive"], row["active"], row["memory"], row["processed"]) == (False, None, None, 7)


def test_a_failure_has_its_traceback():
    store = Store()
    store.add_traces(traces(PAID))
    told = Observatory(store).failures(NOW)
    assert told["total"] == 1
    assert told["failures"][0]["failure"] == FAILED._asdict()


def test_a_search_says_how_many_there_are_and_shows_the_newest():
    store = Store()
    many = (
        span(n, "process pay", "consumer", (0, n), trace=n)._replace(
            attributes={c.TASK_STATE: c.SUCCESS, c.TASK_NAME: "pay", c.WORKER_NAME: "w"}
        )
        for n in range(1, MOST + 11)
    )
    store.add_traces(traces(*many))
    told = Observatory(store).search(NOW, Wanted(task="pay"))
    assert (told["total"], told["of"], len(told["deliveries"])) == (MOST + 10, MOST + 10, MOST)
    assert told["deliveries"][0]["ended"] == NOW + MOST + 10
    assert (told["tasks"], told["states"], told["workers"]) == (["pay"], [c.SUCCESS], ["w"])


def test_a_trace_is_a_tree_of_bars():
    store = Store()
    link = ("0" * 31 + "7", "0" * 15 + "7")
    store.add_traces(traces(*ORDER[:2], PAID._replace(links=(link,)), ORDER[3]))
    told = Observatory(store).trace(NOW, ORDER[0].trace_id)
    assert told is not None
    assert [(row["name"], row["depth"]) for row in told["spans"]] == [
        ("POST /orders/invoice", 0),
        ("publish pay", 1),
        ("process pay", 2),
        ("ask the bank", 3),
    ]
    assert (told["seconds"], told["services"]) == (0.875, ["shop-web", "shop-worker"])
    paid = told["spans"][2]
    assert (paid["wait"], paid["state"], paid["links"]) == (0.25, c.FAILURE, (link,))


def test_a_trace_that_is_not_here_is_none():
    assert Observatory(Store()).trace(NOW, "ab") is None


def test_the_status_says_what_is_kept_of_how_much():
    store = Store(Limits(traces=5))
    store.add_traces(traces(*ORDER))
    told = Observatory(store).status(NOW)
    assert (told["kept"]["traces"], told["limits"]) == (1, asdict(Limits(traces=5)))


def test_every_answer_is_json():
    store = filled()
    seen = Observatory(store)
    seen.note(NOW)
    trace = seen.trace(NOW, ORDER[0].trace_id)
    for told in (seen.tasks(NOW), seen.queues(NOW), seen.workers(NOW), seen.status(NOW), trace):
        json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param((1, (b"\xff", "a")), [1, ["ff", "a"]], id="lists-and-bytes"),
        pytest.param(float("inf"), "inf", id="not-finite"),
        pytest.param(2**60, str(2**60), id="larger-than-a-browser-counts"),
        pytest.param(None, None, id="none"),
    ],
)
def test_attributes_become_json(value, told):
    assert plain(value) == told
