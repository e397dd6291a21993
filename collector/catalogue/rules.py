"""What is a rule, what proves it, and how is it written down for Prometheus?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import yaml

from collector.catalogue.names import label, series
from otel_celery.conventions import Metric

RUNBOOKS = "https://github.com/otel-celery/otel-celery/blob/main/docs/runbooks.md"
"""Where people read docs/runbooks.md; a copy elsewhere changes this one line."""

INTERVAL = "30s"
SCRAPE = "15s"  # of the samples in a case: the export interval of otel-celery

CRITICAL, WARNING, INFO = "critical", "warning", "info"  # page; ticket; for the eye
APPLICATION, OPERATIONS, TELEMETRY = "application", "operations", "telemetry"

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """Samples as they come from real processes, and what a rule makes of them.

    Args:
        says: what happens, in words.
        given: series -> values, in promtool's notation, one value each 15 s.
        at: when to look.
        gives: labels and value of each answer of a recording rule.
        fires: labels and summary of each alert.
    """

    says: str
    given: Mapping[str, str]
    at: str = "20m"
    gives: Sequence[tuple[Labels, float]] = ()
    fires: Sequence[tuple[Labels, str]] = ()


@dataclass(frozen=True)
class Recording:
    """A query whose answer is kept under a name, for dashboards and alerts."""

    name: str
    says: str
    expr: str
    cases: tuple[Case, ...] = ()

    def as_yaml(self) -> dict[str, Any]:
        return {"record": self.name, "expr": self.expr}


@dataclass(frozen=True)
class Alert:
    """A query that people are told of while it has answers.

    Args:
        name: also the heading in docs/runbooks.md.
        expr: the query.
        wait: how long it must have had answers.
        severity: critical wakes somebody, warning can wait for the morning, info is to be seen.
        team: who can do something about it.
        summary: one line, with labels and value filled in.
        description: what it means, the same each time.
        cases: at least one that fires, and one that nearly does.
        keep: how long it goes on after its last answer.
    """

    name: str
    expr: str
    wait: str
    severity: str
    team: str
    summary: str
    description: str
    cases: tuple[Case, ...] = ()
    keep: str = ""

    @property
    def annotations(self) -> dict[str, str]:
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{RUNBOOKS}#{self.name.lower()}",
        }

    @property
    def labels(self) -> dict[str, str]:
        return {"severity": self.severity, "team": self.team}

    def as_yaml(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.wait,
            **({"keep_firing_for": self.keep} if self.keep else {}),
            "labels": self.labels,
            "annotations": self.annotations,
        }


Rule = Recording | Alert


def sample(
    metric: Metric | str, points: Mapping[str, str] | None = None, suffix: str = "", /, **own: str
) -> str:
    """Return a series as promtool wants it.

    Args:
        metric: of the catalogue, or the name of a series of another program.
        points: attributes of the catalogue's metric.
        suffix: `_bucket`, `_count` or `_sum`.
        own: labels that are no attributes, such as job and instance.

    Raises:
        KeyError: the metric has no such attribute.
    """
    for key in points or {}:
        if not isinstance(metric, str) and key not in metric.keys:
            raise KeyError(f"{metric.name} has no attribute {key}")
    name = metric if isinstance(metric, str) else series(metric)
    labels = {**own, **{label(key): value for key, value in (points or {}).items()}}
    inner = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{suffix}{{{inner}}}"


def of(name: str) -> str:
    """Return the place in a text where the value of a label stands."""
    return f"{{{{ $labels.{name} }}}}"


VALUE = "{{ $value | humanize }}"
COUNT = '{{ $value | printf "%.0f" }}'  # `increase()` estimates: of 3 it makes 3.05
PERCENT = "{{ $value | humanizePercentage }}"
DURATION = "{{ $value | humanizeDuration }}"

HEAD = "# Written by `python -m collector.catalogue`: change collector/catalogue/ instead.\n"


class _Text(yaml.SafeDumper):
    """Writes queries of several lines as blocks."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Text.add_representer(str, _block)


def as_text(content: Any) -> str:
    """Return YAML that reads like what people write."""
    body = yaml.dump(content, Dumper=_Text, sort_keys=False, width=1000, allow_unicode=True)
    return HEAD + body


def rule_file(
    groups: Mapping[str, Sequence[Rule]], seldom: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return a rule file: rules of one group see the answers of those before them.

    Args:
        groups: name -> rules.
        seldom: groups with an interval of their own, because they look far back.
    """
    return as_text({
        "groups": [
            {
                "name": name,
                "interval": seldom.get(name, INTERVAL),
                "rules": [rule.as_yaml() for rule in rules],
            }
            for name, rules in groups.items()
        ]
    })  # fmt: skip


def case_file(
    rules: Iterable[Rule], files: Sequence[str], order: Sequence[str], every: str = INTERVAL
) -> str:
    """Return the cases of rules as a file for `promtool test rules`.

    Alerts of one name, such as the steps of one threshold, share their cases.

    Args:
        rules: with cases.
        files: of rules, relative to the test file.
        order: groups in the order in which they are evaluated; promtool has none of its own.
        every: time between two evaluations, whatever the groups say.
    """
    tests = []
    for rule in rules:
        for case in rule.cases:
            test: dict[str, Any] = {
                "name": f"{rule.name}: {case.says}",
                "interval": SCRAPE,
                "input_series": [
                    {"series": name, "values": values} for name, values in case.given.items()
                ],
            }
            if isinstance(rule, Alert):
                test["alert_rule_test"] = [_alerts(rule, case)]
            else:
                test["promql_expr_test"] = [_samples(rule, case)]
            tests.append(test)
    return as_text({
        "rule_files": list(files),
        "evaluation_interval": every,
        "group_eval_order": list(order),
        "tests": tests,
    })  # fmt: skip


def _alerts(rule: Alert, case: Case) -> dict[str, Any]:
    return {
        "eval_time": case.at,
        "alertname": rule.name,
        "exp_alerts": [
            {
                "exp_labels": {**rule.labels, **labels},
                "exp_annotations": {**rule.annotations, "summary": summary},
            }
            for labels, summary in case.fires
        ],
    }


def _samples(rule: Recording, case: Case) -> dict[str, Any]:
    return asked(rule.name, case.at, case.gives)


def asked(name: str, at: str, gives: Sequence[tuple[Labels, float]]) -> dict[str, Any]:
    """Return one question to a recording rule, and the answers that it must give."""
    answers = []
    for labels, value in gives:
        inner = ", ".join(f'{key}="{text}"' for key, text in labels.items())
        answers.append({"labels": f"{name}{{{inner}}}", "value": value})
    return {"expr": name, "eval_time": at, "exp_samples": answers}
