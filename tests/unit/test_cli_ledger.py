from __future__ import annotations

from dataclasses import replace

import pytest

from otel_celery import conventions as c
from otel_celery.cli.ledger import Ledger, build_ledger
from otel_celery.view.figures import FRESH
from otel_celery.view.store import Store
from tests.unit.cli_wire import NOW, PAY, WORKER, filled, metrics, number, outcome

BALANCED = Ledger(published=10, ended=6, waiting=3, running=1, received=9, spoken=7, held=2)


def test_a_requeued_delivery_is_an_outcome_but_not_an_end():
    """Failed publishes do not count; retries and canvas steps sent by workers do."""
    assert build_ledger(filled().snapshot(), NOW) == BALANCED


def test_a_message_that_was_given_back_has_not_ended():
    store = filled()
    store.add_metrics(metrics(WORKER, outcome(c.RETURNED, 4)))
    ledger = build_ledger(store.snapshot(), NOW)
    assert (ledger.ended, ledger.spoken) == (6, 11)


def test_a_depth_that_is_not_known_is_not_zero():
    ledger = build_ledger(filled().snapshot(), NOW + FRESH + 1)
    assert ledger.waiting is None
    assert ledger.gaps() == ["the depth of a queue is not known (celery.queue.depth)"]


def test_one_unread_queue_among_others_is_enough_not_to_know():
    store = filled()
    store.add_metrics(metrics(WORKER, number(c.SENT_MESSAGES, 1, {**PAY, c.QUEUE: "mail"})))
    assert build_ledger(store.snapshot(), NOW).waiting is None


def test_nothing_published_is_no_success():
    gaps = build_ledger(Store().snapshot(), NOW).gaps()
    assert gaps == ["no published message was counted (messaging.client.sent.messages)"]


@pytest.mark.parametrize(
    ("changes", "gaps"),
    [
        pytest.param({}, [], id="balanced"),
        pytest.param(
            {"published": 12},
            ["2 of the messages published are not ended, waiting or running"],
            id="lost-messages",
        ),
        pytest.param(
            {"ended": 7},
            ["1 more messages are ended, waiting or running than were published"],
            id="counted-twice",
        ),
        pytest.param(
            {"received": 10},
            ["1 of the messages received by workers are not given an outcome or held"],
            id="silent-delivery",
        ),
    ],
)
def test_every_difference_is_said(changes, gaps):
    ledger = replace(BALANCED, **changes)
    assert (ledger.gaps(), ledger.holds) == (gaps, not gaps)


@pytest.mark.parametrize(
    ("ledger", "at_rest"),
    [
        pytest.param(BALANCED, False, id="some-wait"),
        pytest.param(replace(BALANCED, ended=10, waiting=0, running=0), True, id="all-ended"),
        pytest.param(replace(BALANCED, ended=9, waiting=0, running=0), False, id="one-missing"),
        pytest.param(replace(BALANCED, ended=10, waiting=None, running=0), False, id="unknown"),
        pytest.param(Ledger(0, 0, 0, 0, 0, 0, 0), True, id="nothing-happened"),
    ],
)
def test_rest_is_when_all_have_ended(ledger, at_rest):
    assert ledger.at_rest is at_rest
