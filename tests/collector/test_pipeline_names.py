"""Alerts about the Collector ask for names that it really exposes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from collector.catalogue.alerts import pipeline
from tests.collector.collectors import Collector, process
from tests.receiver import Receiver
from tests.services import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.stack

TIGHT = {
    "exporters": {
        "otlp_http/traces": {
            "sending_queue": {"queue_size": 100_000, "batch": {"min_size": 1, "max_size": 9_000}},
            "retry_on_failure": {
                "initial_interval": "1s", "max_interval": "1s", "max_elapsed_time": "2s",
            },
        }
    }
}  # fmt: skip


def test_the_collector_exposes_what_its_alerts_ask_for(otelcol: Path, tmp_path: Path):
    """Its backend is down, its queue small, its memory of traces short: each counter moves."""
    tight = tmp_path / "tight.yaml"
    tight.write_text(yaml.safe_dump(TIGHT))
    collector = Collector(
        otelcol,
        tmp_path / "collector",
        environ={
            "TRACES_ENDPOINT": f"http://127.0.0.1:{free_port()}",
            "TAIL_NUM_TRACES": "100",
            "TAIL_BASELINE_PERCENT": "50",  # what is not kept at once waits, and is pushed out
        },
    )
    collector.configs.append(tight)
    moved = {
        pipeline.UPTIME,
        pipeline.QUEUE_SIZE,
        pipeline.QUEUE_CAPACITY,
        pipeline.TRACES,
        pipeline.JUDGED,
        pipeline.NOT_QUEUED.format("spans"),
        pipeline.NOT_SENT.format("spans"),
    }

    def all_moved() -> None:
        collector.send(*(process(blob="x" * 2000) for _ in range(300)))
        found = own(collector)
        assert moved - {name for name, value in found.items() if value > 0} == set()
        assert {pipeline.WAITING, pipeline.REFUSED.format("spans")} <= set(found)
        assert unjudged(found) > 100

    with collector.running():
        eventually(all_moved, 60, 1)


def test_traces_that_are_judged_are_not_called_dropped(
    otelcol: Path, tmp_path: Path, backend: Receiver
):
    """Kept at once or forgotten in time: the alert's difference comes back to 0."""
    collector = Collector(
        otelcol, tmp_path, environ={"TRACES_ENDPOINT": backend.url, "TAIL_BASELINE_PERCENT": "50"}
    )
    with collector.running():
        collector.send(*(process() for _ in range(300)))

        def settled() -> None:
            found = own(collector)
            assert found[pipeline.TRACES] == 300
            assert unjudged(found) == 0

        eventually(settled, 60, 0.5)


def own(collector: Collector) -> Counter[str]:
    """Return the Collector's own metrics, summed over their labels."""
    found: Counter[str] = Counter()
    for name, value in collector.scraped("OTELCOL_TELEMETRY_PORT").items():
        found[name.split("{")[0]] += value  # type: ignore[assignment]
    return found


def unjudged(found: Counter[str]) -> int:
    return found[pipeline.TRACES] - found[pipeline.JUDGED] - found[pipeline.WAITING]
