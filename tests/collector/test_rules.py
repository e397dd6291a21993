"""Rules answer, and alerts fire when they should and not before: promtool says so."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.catalogue import thresholds as limit
from collector.catalogue.__main__ import HERE
from collector.catalogue.migration import SOURCES
from collector.catalogue.prometheus import ALERTS, RECORDINGS
from collector.catalogue.promql import QUEUE, select
from collector.catalogue.recording_cases import ELSEWHERE, NOTHING, SITUATIONS
from collector.catalogue.rules import CRITICAL, INFO, WARNING, Alert, Recording, sample
from otel_celery import conventions as c

RULES, TESTS = HERE / "prometheus/rules", HERE / "prometheus/tests"
EVERY = [alert for alerts in ALERTS.values() for alert in alerts]
Program = Callable[[str], Path]


def run(*words: object) -> str:
    """Run a program and return what it said; the test fails where the program does."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_rules_are_valid(program: Program):
    """Syntax, and no two rules that would write one series."""
    said = run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal",
               *sorted(RULES.rglob("*.yml")))  # fmt: skip
    assert said.count("SUCCESS") == len(list(RULES.rglob("*.yml")))


@pytest.mark.parametrize("cases", sorted(TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_rules_do_as_their_cases_say(program: Program, cases: Path):
    run(program("promtool"), "test", "rules", cases)


def test_every_alert_is_proven_both_ways():
    """One case in which it fires and one with samples in which it does not."""
    cases = defaultdict(list)
    for alert in EVERY:
        cases[alert.name] += alert.cases
    assert [name for name, all_ in cases.items() if not any(case.fires for case in all_)] == []
    assert [
        name
        for name, all_ in cases.items()
        if not any(case.given and not case.fires for case in all_)
    ] == []


def test_every_step_of_an_alert_fires_in_some_case():
    """An alert with several severities has them all in its cases."""
    fired = {
        (alert.name, labels.get("severity", alert.severity))
        for alert in EVERY
        for case in alert.cases
        for labels, _ in case.fires
    }
    assert {(alert.name, alert.severity) for alert in EVERY} <= fired


def test_alerts_carry_what_people_need():
    """Severity and team for the routes; a summary that names what is meant; a runbook."""
    for alert in EVERY:
        assert alert.severity in {CRITICAL, WARNING, INFO}, alert.name
        assert alert.annotations["runbook_url"].endswith(f"#{alert.name.lower()}")
        assert len(alert.description) > 40, alert.name
        assert "{{" not in alert.description, alert.name
        assert not re.search(r"\$value \}\} ?%", alert.summary), alert.name  # a ratio is no percent


def test_names_are_taken_from_the_catalogue_alone():
    """No name of ours is typed in: a rename must break the build."""
    ours = re.compile(r"[\"'{( ](celery|messaging|otel_celery)_[a-z]+_[a-z_]+")
    sources = [*(HERE / "catalogue").glob("*.py"), *(HERE / "catalogue/alerts").glob("*.py")]
    typed = {
        f"{path.name}: {found[0]}"
        for path in sources
        if path.name not in ("migration.py", "page.py")  # which speak of the names of others
        for found in ours.finditer(path.read_text())
    }
    assert typed == set()


def test_a_matcher_that_could_never_be_true_is_an_error():
    """An attribute that the metric does not have is refused when the rules are written."""
    with pytest.raises(KeyError, match="has no attribute"):
        select(c.WORKER_HEARTBEAT, {c.TASK_NAME: '="x"'})
    with pytest.raises(KeyError, match="has no attribute"):
        sample(c.WORKER_HEARTBEAT, {c.TASK_NAME: "x"})


def test_names_of_rules_are_known_and_unique():
    """Alerts ask only recorded names that exist, and no name is written twice."""
    names = [rule.name for rule in RECORDINGS]
    assert len(names) == len(set(names))
    rules: list[Alert | Recording] = [*EVERY, *RECORDINGS]
    asked = {
        name for rule in rules for name in re.findall(r"celery:[a-z_0-9:]*[a-z0-9]", rule.expr)
    }
    assert asked - set(names) == set()


def test_every_name_of_others_is_kept_alive_or_explained():
    """A rule with a case, or a word why there is none."""
    for rows in SOURCES.values():
        for old in rows:
            assert bool(old.expr) == bool(old.case), old.name
            assert old.expr or old.differs, old.name


def test_every_recording_rule_answers_and_is_silent_somewhere():
    """In some situation it has an answer, and without samples it has none."""
    answered = {name for situation in SITUATIONS for name in situation.gives}
    names = {rule.name for rule in RECORDINGS}
    assert names - answered == set(ELSEWHERE)
    assert answered - names == set()
    assert set(NOTHING.gives) == {"celery:slo_budget"}  # a constant
    assert set(ELSEWHERE.values()) <= {alert.name for alert in EVERY}


def test_thresholds_of_durations_are_bounds_of_the_histograms():
    """Between two bounds a quantile is a guess; at one it is exact on which side it lies."""
    asked = {limit.P95_SECONDS, limit.WAIT_SECONDS}
    for metric in (c.PROCESS_DURATION, c.QUEUE_WAIT):
        assert asked <= set(metric.buckets), metric.name


@pytest.mark.parametrize(
    ("ids", "alert", "severity", "asks"),
    [
        ("A31 C19", "CeleryTaskFailureRatio", WARNING, "celery:failure_ratio > 0.05"),
        ("C28", "CeleryTaskFailureRatio", CRITICAL, "celery:failure_ratio > 0.2"),
        ("D15", "CeleryQueueDepthHigh", INFO, "> 100"),
        ("C14", "CeleryQueueDepthHigh", WARNING, "> 1000"),
        ("B16", "CeleryQueueDepthHigh", WARNING, '=~"default"} > 5000'),
        ("C17", "CeleryQueueDepthHigh", WARNING, f'=~"{limit.DEAD_LETTERS}"}} > 100'),
        ("A32 C27", "CeleryQueueDepthHigh", CRITICAL, "> 5000"),
        ("B15", "CeleryQueueDepthHigh", CRITICAL, '=~"critical"} > 100'),
        ("A33 B17 C10 C26", "CeleryNoWorkers", CRITICAL, "celery:workers_online == 0"),
        ("A33", "CeleryNoWorkers", CRITICAL, "absent(celery:workers_online)"),
        ("A34", "CeleryTaskSlow", WARNING, "> 60"),
        ("B9", "CeleryCriticalTaskFailed", CRITICAL, "payment"),
        ("C11 C29", "CeleryWorkerCPUHigh", WARNING, "> 0.9"),
        ("C12 C30", "CeleryWorkerMemoryHigh", WARNING, "> 0.85"),
        ("C13", "CeleryWorkerRestarted", INFO, "offset 5m"),
        ("C15", "CeleryQueueGrowing", WARNING, "[10m]) > 10"),
        (
            "C16",
            "CeleryQueueWaitHigh",
            WARNING,
            f'celery:wait:p95{{{QUEUE}!~"{limit.DEAD_LETTERS}"}} > 60',
        ),
        ("C17", "CeleryTaskRejected", WARNING, "> 100"),
        ("C18", "CelerySuccessRatioLow", WARNING, "< 0.95"),
        ("C20 C31", "CeleryTaskDurationHigh", WARNING, "> 300"),
        ("C21", "CeleryTaskRetryRatio", WARNING, "> 0.1"),
        ("C22", "CeleryTaskTimeoutRatio", WARNING, "> 0.01"),
    ],
)
def test_thresholds_that_teams_ask_for_are_there(ids: str, alert: str, severity: str, asks: str):
    """What teams want to be told of is told of here, by one consistent table: docs/coverage.md."""
    found = [one.expr for one in EVERY if (one.name, one.severity) == (alert, severity)]
    assert any(asks in expr for expr in found), ids
