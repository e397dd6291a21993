"""Names in Prometheus are those that the translation of OTLP gives."""

from __future__ import annotations

import pytest

from collector.catalogue.names import label, series
from otel_celery import conventions as c


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (c.SENT_MESSAGES, "messaging_client_sent_messages_total"),
        (c.PROCESS_DURATION, "messaging_process_duration_seconds"),
        (c.WORKER_CPU, "celery_worker_cpu_time_seconds_total"),
        (c.WORKER_MEMORY, "celery_worker_memory_usage_bytes"),
        (c.TASK_COUNT, "celery_worker_task_count"),
        (c.BROKER_CONNECTED, "celery_worker_broker_connected"),
        (c.QUEUE_DEPTH, "celery_queue_depth"),
        (c.WORKER_HEARTBEAT, "celery_worker_heartbeat_timestamp_seconds"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_series_carry_unit_and_kind(metric: c.Metric, name: str):
    assert series(metric) == name


def test_labels_have_no_dots():
    assert label(c.TASK_NAME) == "celery_task_name"
