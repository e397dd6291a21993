"""What do people read about rules and thresholds? The text of docs/alerts.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collector.catalogue import thresholds as limit
from collector.catalogue.objectives import OBJECTIVES
from collector.catalogue.prometheus import ALERTS, RECORDINGS

_TITLES = {
    "tasks": "Do tasks end well?",
    "drops": "Are messages thrown away before their task runs?",
    "durations": "Do they take as long as they use to?",
    "queues": "Do messages get to a worker in time?",
    "deliveries": "Is each message sent, delivered once, and accounted for?",
    "workers": "Are the workers there, and well?",
    "connections": "Do they reach their broker?",
    "pools": "Do workers have what they need?",
    "beat": "Does beat send what is due?",
    "telemetry": "Can the other alerts be believed?",
    "pipeline": "Does the Collector take everything, and pass it on?",
    "objectives": "Are promises kept?",
}

_HEAD = """\
# Alerts and recording rules

This page is written from `collector/catalogue/`, as the rules are: `make docs`. What to do about \
an alert stands in [runbooks.md](runbooks.md).

Who is told, with the shipped [Alertmanager configuration]\
(../collector/alertmanager/alertmanager.yml):

| severity | who is told |
| --- | --- |
| critical | the pager of its team, at once |
| warning | the chat or mail of its team, in a while |
| info | nobody; it is to be seen in Alertmanager and Grafana |

Nothing is sent before the files with addresses and keys are mounted: the configuration names them.

- An alert about a ratio asks for a volume first: of three tasks nothing can be said in percent.
- A counter that begins with its first event counts that event: each class of error is a series of \
its own. A hole in the scrapes is no event.
- A worker that stops gives back what it holds, so it is not missed. One that is killed is.
- A rolling deploy may cause info and warning, and wakes nobody. A service that scales to none \
gets a row with 0 in `EXPECTED_WORKERS`. One with ten workers by day and two by night is warned \
of each night, until it gets a row with 2.
- An alert about a queue needs somebody who reads it. No worker consumes a queue of dead letters: \
name it in `OTEL_CELERY_QUEUES`.
- Every alert is tested both ways by `promtool`, in `collector/prometheus/tests/`.

## Alerts

"""

_CHANGE = """\
## Change a threshold

All of them stand in `collector/catalogue/thresholds.py`. Change a row, run `make docs`, and load \
the rules again. Runbooks elsewhere: `RUNBOOKS` in `collector/catalogue/rules.py`.

"""


def _cell(content: object) -> str:
    return str(content).replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(_cell(text) for text in line)} |\n" for line in lines)


def _joined(list_: str, item: str) -> str:
    """Return a list with one item more, unless it is there."""
    return ", ".join(dict.fromkeys([*filter(None, list_.split(", ")), item]))


def _alerts() -> str:
    parts = []
    for name, alerts in ALERTS.items():
        rows: dict[str, tuple[str, ...]] = {}
        for alert in alerts:
            _, steps, waits, *_ = rows.get(alert.name, ("", "", ""))
            rows[alert.name] = (
                f"[{alert.name}](runbooks.md#{alert.name.lower()})",
                _joined(steps, alert.severity),
                _joined(waits, alert.wait),
                alert.team,
                alert.description,
            )
        heads = ("alert", "severity", "for", "team", "what it means")
        parts.append(f"### {_TITLES[name]}\n\n{table(heads, rows.values())}")
    return "\n".join(parts)


def _thresholds() -> str:
    depths = table(
        ("queue", "ready messages for 10 minutes, above", "severity"),
        ((f"`{row.queue}`" if row.queue else "all others", row.above, row.severity)
         for row in limit.DEPTHS),
    )  # fmt: skip
    promises = table(
        ("objective", "share", "of what", "is good when"),
        (
            (
                f"`{o.name}`",
                f"{o.target:.4g}",
                f"tasks `{o.tasks}`" if o.tasks else f"queues `{o.queues}`",
                "it ends well" if o.tasks else f"it begins within {o.within:g} s",
            )
            for o in OBJECTIVES
        ),
    )
    return f"{depths}\n## Objectives\n\nThe table is `OBJECTIVES` in\
 `collector/catalogue/objectives.py`; each row becomes burn rates and alerts.\n\n{promises}"


def alerts_page() -> str:
    """Return docs/alerts.md."""
    recorded = table(("name", "what it is"), ((f"`{rule.name}`", rule.says) for rule in RECORDINGS))
    return f"{_HEAD}{_alerts()}\n{_CHANGE}{_thresholds()}\n## Recording rules\n\n{recorded}"
