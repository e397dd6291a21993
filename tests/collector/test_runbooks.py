"""Each alert leads to its runbook, and what the runbook says to type works."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from celery.bin.celery import celery
from celery.worker.control import Panel

from collector.catalogue.__main__ import HERE
from collector.catalogue.alerts import pipeline
from collector.catalogue.names import series
from collector.catalogue.prometheus import ALERTS, RECORDINGS
from collector.catalogue.rules import RUNBOOKS
from otel_celery import conventions as c
from otel_celery.lane_metrics import LANE_METRICS

PAGE = HERE.parent / "docs/runbooks.md"
TEXT = PAGE.read_text()
HEADINGS = re.findall(r"^### (.*)$", TEXT, re.MULTILINE)
QUERIES = re.findall(r"^```promql\n(.*?)\n```$", TEXT, re.MULTILINE | re.DOTALL)
COLLECTORS = {
    name.format(signal)
    for name in (pipeline.REFUSED, pipeline.NOT_QUEUED, pipeline.NOT_SENT)
    for signal in pipeline.SIGNALS
} | {
    pipeline.QUEUE_SIZE,
    pipeline.QUEUE_CAPACITY,
    "otelcol_process_memory_rss_bytes",
    pipeline.TRACES,
    pipeline.WAITING,
}


def test_every_alert_has_a_section_and_every_section_an_alert():
    names = {alert.name for alerts in ALERTS.values() for alert in alerts}
    assert sorted(HEADINGS) == sorted(names)
    assert RUNBOOKS.endswith(f"/{PAGE.relative_to(HERE.parent)}")


def test_every_section_says_what_to_do():
    """A meaning, something to look at, and steps."""
    for section in TEXT.split("\n### ")[1:]:
        name, _, body = section.partition("\n")
        assert re.search(r"^1\. ", body, re.MULTILINE), name
        assert len(body.split("\n```")[0].split("\n1. ")[0]) > 30, name


def test_queries_name_what_exists():
    known = {series(m) for m in (*c.METRICS, *LANE_METRICS)}
    known |= {f"{series(m)}{end}" for m in c.METRICS for end in ("_bucket", "_count", "_sum")}
    known |= {rule.name for rule in RECORDINGS} | COLLECTORS
    labels = {key.replace(".", "_") for metric in c.METRICS for key in metric.keys}
    pattern = re.compile(r"\b(?:celery|messaging|otel_celery|otel_sdk|otelcol)[_:][a-z0-9_:]+")
    said = {name for query in QUERIES for name in pattern.findall(query)}
    assert said - known - labels == set()


def test_queries_are_queries(program: Callable[[str], Path], tmp_path: Path):
    rules = [{"record": f"query:{number}", "expr": text} for number, text in enumerate(QUERIES)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        [str(program("promtool")), "check", "rules", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("word", ["control", "inspect"])
def test_commands_are_those_of_celery(word: str):
    """Remote commands that this version's workers answer: `celery revoke` was one of Celery 3."""
    said = set(re.findall(rf"\bcelery -A proj {word} ([a-z_]+)", TEXT))
    assert said
    assert said <= {name for name, meta in Panel.meta.items() if meta.type == word}


def test_other_commands_are_those_of_celery():
    """`celery -A proj WORD` has that word."""
    said = set(re.findall(r"\bcelery -A proj ([a-z_]+)", TEXT))
    assert said >= {"status", "purge", "call", "report"}
    assert said <= set(celery.commands)
