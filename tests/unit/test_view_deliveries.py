from __future__ import annotations

import pytest

from otel_celery import conventions as c
from otel_celery.view.deliveries import Delivery, Wanted, deliveries, failures
from otel_celery.view.records import Failure
from otel_celery.view.store import Store
from tests.unit.cli_wire import NOW, ORDER, span, traces

FAILED = Failure("builtins.ValueError", "no", "Traceback ...")
TOLD = {
    c.TASK_NAME: "shop.pay",
    c.MESSAGE_ID: "abc-1",
    c.QUEUE: "orders",
    c.WORKER_NAME: "celery@host",
    c.TASK_QUEUE_WAIT: 0.25,
    c.TASK_PREFETCH_WAIT: 0.125,
    c.TASK_STATE: c.FAILURE,
    c.ERROR_TYPE: "ValueError",
}
PAID = ORDER[2]._replace(attributes=TOLD, failure=FAILED)
SHIPPED = span(9, "process shop.ship", "consumer", (3, 4), trace=2)._replace(
    attributes={c.TASK_STATE: c.SUCCESS, c.TASK_NAME: "shop.ship", c.MESSAGE_ID: "xyz"}
)


@pytest.fixture
def found():
    store = Store()
    store.add_traces(traces(*ORDER[:2], PAID, SHIPPED))
    return deliveries(store.snapshot())


def test_a_delivery_is_told_as_celery_would_say_it(found):
    assert found[1] == Delivery(
        task_id="abc-1",
        task="shop.pay",
        state=c.FAILURE,
        queue="orders",
        worker="celery@host",
        sent=ORDER[1].start,
        received=NOW + 0.375,
        started=NOW + 0.5,
        ended=NOW + 0.875,
        wait=0.25,
        retries=0,
        expected=False,
        redelivered=False,
        error_type="ValueError",
        failure=FAILED,
        trace_id=PAID.trace_id,
        span_id=PAID.span_id,
    )


def test_what_is_not_known_is_none(found):
    assert (found[0].sent, found[0].received, found[0].wait) == (None, None, None)


def test_the_last_to_end_comes_first_and_only_bad_ends_are_failures(found):
    assert [one.task for one in found] == ["shop.ship", "shop.pay"]
    assert [one.task for one in failures(found)] == ["shop.pay"]


@pytest.mark.parametrize(
    ("wanted", "tasks"),
    [
        pytest.param(Wanted(), ["shop.ship", "shop.pay"], id="anything"),
        pytest.param(Wanted(task_id="abc"), ["shop.pay"], id="begin-of-an-id"),
        pytest.param(Wanted(task="shop.ship"), ["shop.ship"], id="task"),
        pytest.param(Wanted(task="shop"), [], id="task-is-exact"),
        pytest.param(Wanted(state=c.SUCCESS), ["shop.ship"], id="state"),
        pytest.param(Wanted(worker="celery@host"), ["shop.pay"], id="worker"),
        pytest.param(Wanted(text="VALUEERR"), ["shop.pay"], id="text-in-error"),
        pytest.param(Wanted(text="ship"), ["shop.ship"], id="text-in-task"),
        pytest.param(Wanted(text="xy"), ["shop.ship"], id="text-as-id"),
        pytest.param(Wanted(text=PAID.trace_id), ["shop.pay"], id="trace-id"),
        pytest.param(Wanted(text="pay", state=c.SUCCESS), [], id="all-at-once"),
    ],
)
def test_a_search_finds_what_fits_all_that_was_asked(found, wanted, tasks):
    assert [one.task for one in found if wanted.matches(one)] == tasks
