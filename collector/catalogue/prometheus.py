"""Which rules go into which file for Prometheus, and which cases prove them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from collector.catalogue import migration, objectives, recording
from collector.catalogue.alerts import (
    beat,
    connections,
    deliveries,
    drops,
    durations,
    pipeline,
    pools,
    queues,
    tasks,
    telemetry,
    workers,
)
from collector.catalogue.recording_cases import SITUATIONS
from collector.catalogue.rules import (
    INTERVAL,
    SCRAPE,
    Alert,
    Recording,
    as_text,
    asked,
    case_file,
    rule_file,
)

ALERTS: dict[str, tuple[Alert, ...]] = {
    "tasks": tasks.ALERTS,
    "drops": drops.ALERTS,
    "durations": durations.ALERTS,
    "queues": queues.ALERTS,
    "deliveries": deliveries.ALERTS,
    "workers": workers.ALERTS,
    "connections": connections.ALERTS,
    "pools": pools.ALERTS,
    "beat": beat.ALERTS,
    "telemetry": telemetry.ALERTS,
    "pipeline": pipeline.ALERTS,
    "objectives": objectives.ALERTS,
}
"""Name of the file and of the group -> its alerts."""

GROUPS = {**recording.GROUPS, "celery-objectives": objectives.RECORDINGS}
RECORDINGS = tuple(rule for rules in GROUPS.values() for rule in rules)

_SELDOM = {"celery-history": "2m", "celery-objectives": f"{objectives.EVERY}s"}
_SLOWLY = {"durations": "2m", "objectives": f"{objectives.EVERY}s"}  # days pass in these cases
_RECORDED, _PROMISED = "../rules/recording.yml", "../rules/recording-objectives.yml"
_OBJECTIVES = {"celery-objectives": objectives.RECORDINGS}


def _more(name: str) -> tuple[list[str], list[str]]:
    """Return what only alerts about objectives need: long windows make every test slow."""
    return ([_PROMISED], list(_OBJECTIVES)) if name == "objectives" else ([], [])


def _tests(name: str, alerts: Sequence[Alert]) -> str:
    group = f"celery-{name}-alerts"
    return case_file(
        alerts,
        (_RECORDED, *_more(name)[0], f"../rules/alerts-{name}.yml"),
        (*recording.GROUPS, *_more(name)[1], group),
        _SLOWLY.get(name, INTERVAL),
    )


def _rules(name: str, alerts: Sequence[Alert]) -> str:
    return rule_file({f"celery-{name}-alerts": alerts})


def _migration(name: str) -> tuple[str, tuple[Recording, ...]]:
    """Return the group and the rules that write another program's names."""
    rules = (old.rule() for old in migration.SOURCES[name] if old.expr)
    return f"migration-{name}", tuple(rules)


def _migration_rules(name: str) -> str:
    group, rules = _migration(name)
    return rule_file({group: rules})


def _migration_tests(name: str) -> str:
    group, rules = _migration(name)
    files = (_RECORDED, f"../rules/optional/{group}.yml")
    return case_file(rules, files, (*recording.GROUPS, group))


def _situations() -> str:
    """Return a test in which every recording rule is asked in every situation."""
    tests = [
        {
            "name": situation.says,
            "interval": SCRAPE,
            "input_series": [
                {"series": name, "values": values} for name, values in situation.given.items()
            ],
            "promql_expr_test": [
                asked(rule.name, "20m", situation.gives.get(rule.name, ())) for rule in RECORDINGS
            ],
        }
        for situation in SITUATIONS
    ]
    return as_text({
        "rule_files": [_RECORDED, _PROMISED],
        "evaluation_interval": INTERVAL,
        "group_eval_order": list(GROUPS),
        "fuzzy_compare": True,  # 0.6 is 0.6000000000000001 after a division
        "tests": tests,
    })  # fmt: skip


FILES: dict[str, Callable[[], str]] = {
    "prometheus/rules/recording.yml": lambda: rule_file(recording.GROUPS, _SELDOM),
    "prometheus/rules/recording-objectives.yml": lambda: rule_file(_OBJECTIVES, _SELDOM),
    "prometheus/tests/recording.yml": _situations,
    **{f"prometheus/rules/alerts-{n}.yml": partial(_rules, n, a) for n, a in ALERTS.items()},
    **{f"prometheus/tests/{n}.yml": partial(_tests, n, a) for n, a in ALERTS.items()},
    **{
        f"prometheus/rules/optional/migration-{name}.yml": partial(_migration_rules, name)
        for name in migration.SOURCES
    },
    **{
        f"prometheus/tests/migration-{name}.yml": partial(_migration_tests, name)
        for name in migration.SOURCES
    },
}
