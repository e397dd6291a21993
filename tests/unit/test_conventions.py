"""What is the name of everything on the wire?"""

from __future__ import annotations

import re

import pytest
from opentelemetry.semconv._incubating.attributes import messaging_attributes, process_attributes
from opentelemetry.semconv._incubating.metrics import messaging_metrics
from opentelemetry.semconv.attributes import (
    code_attributes,
    error_attributes,
    exception_attributes,
    server_attributes,
)

from otel_celery import conventions as c

BY_NAME = [pytest.param(row, id=row.name) for row in c.METRICS]

FOREIGN = {
    "messaging.client.sent.messages",
    "messaging.client.operation.duration",
    "messaging.client.consumed.messages",
    "messaging.process.duration",
}


def test_each_metric_stands_once_in_the_catalogue():
    """Two rows of one name would be two instruments that fight."""
    names = [row.name for row in c.METRICS]
    assert len(names) == len(set(names)) == 31


@pytest.mark.parametrize("row", BY_NAME)
def test_a_metric_is_named_by_convention_or_under_our_prefix(row):
    """Lower case, dotted, with a unit and a sentence."""
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", row.name)
    assert row.name in FOREIGN or row.name.startswith(("celery.", "otel_celery."))
    assert row.unit
    assert row.description.endswith(".")


@pytest.mark.parametrize("row", BY_NAME)
def test_no_key_can_grow_without_bound(row):
    """Ids, arguments, texts, pids and host ports are for spans."""
    endless = {
        c.MESSAGE_ID, c.TASK_ROOT_ID, c.TASK_PARENT_ID, c.TASK_GROUP_ID, c.TASK_ARGS,
        c.TASK_KWARGS, c.TASK_RESULT, c.EXCEPTION_MESSAGE, c.EXCEPTION_STACKTRACE,
        c.PROCESS_PID, c.SERVER_PORT, c.SERVER_ADDRESS, c.LOG_TASK_ID,
    }  # fmt: skip
    assert not endless & set(row.keys)
    assert len(set(row.keys)) == len(row.keys)


@pytest.mark.parametrize("row", BY_NAME)
def test_buckets_belong_to_histograms_and_rise(row):
    """All durations of ours have the same, up to an hour."""
    assert bool(row.buckets) == (row.kind == "histogram")
    assert list(row.buckets) == sorted(set(row.buckets))
    if row.kind == "histogram" and row is not c.CLIENT_DURATION:
        assert row.buckets == c.DURATION_BUCKETS


def test_the_sending_histogram_keeps_the_advice_of_the_convention():
    """Sending takes milliseconds, so here the advice fits."""
    assert c.CLIENT_DURATION.buckets == (
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (c.MESSAGING_SYSTEM, messaging_attributes.MESSAGING_SYSTEM),
        (c.OPERATION_NAME, messaging_attributes.MESSAGING_OPERATION_NAME),
        (c.OPERATION_TYPE, messaging_attributes.MESSAGING_OPERATION_TYPE),
        (c.MESSAGE_ID, messaging_attributes.MESSAGING_MESSAGE_ID),
        (c.QUEUE, messaging_attributes.MESSAGING_DESTINATION_NAME),
        (c.SERVER_ADDRESS, server_attributes.SERVER_ADDRESS),
        (c.SERVER_PORT, server_attributes.SERVER_PORT),
        (c.ERROR_TYPE, error_attributes.ERROR_TYPE),
        (c.OTHER, error_attributes.ErrorTypeValues.OTHER.value),
        (c.EXCEPTION_TYPE, exception_attributes.EXCEPTION_TYPE),
        (c.EXCEPTION_MESSAGE, exception_attributes.EXCEPTION_MESSAGE),
        (c.EXCEPTION_STACKTRACE, exception_attributes.EXCEPTION_STACKTRACE),
        (c.PROCESS_PID, process_attributes.PROCESS_PID),
        (c.CODE_FUNCTION, code_attributes.CODE_FUNCTION_NAME),
        (c.SENT_MESSAGES.name, messaging_metrics.MESSAGING_CLIENT_SENT_MESSAGES),
        (c.CLIENT_DURATION.name, messaging_metrics.MESSAGING_CLIENT_OPERATION_DURATION),
        (c.CONSUMED_MESSAGES.name, messaging_metrics.MESSAGING_CLIENT_CONSUMED_MESSAGES),
        (c.PROCESS_DURATION.name, messaging_metrics.MESSAGING_PROCESS_DURATION),
    ],
    ids=str,
)
def test_what_the_convention_names_has_its_name(ours, theirs):
    """Letter by letter."""
    assert ours == theirs


def test_a_task_may_not_overwrite_what_main_writes():
    """The reserved keys are those of the process span, no more."""
    assert set(c.SPAN_ATTRIBUTES["process"]) == c.RESERVED
    assert {c.TASK_STATE, c.ERROR_TYPE, c.QUEUE, c.MESSAGE_ID} <= c.RESERVED


@pytest.mark.parametrize("span", ["publish", "process", "eager", "beat"])
def test_a_span_has_each_attribute_once(span):
    """The docs table has one row for each."""
    keys = c.SPAN_ATTRIBUTES[span]
    assert len(set(keys)) == len(keys)


def test_states_are_fourteen_different_words():
    """Dashboards list them."""
    assert len(set(c.STATES)) == len(c.STATES) == 14
