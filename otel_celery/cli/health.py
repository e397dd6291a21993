"""What does `otel-celery health` look at, and with which exit status does it end?"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence

from otel_celery.health.report import DEGRADED, UNHEALTHY, Finding, Report
from otel_celery.health.worker import check_worker

OK, FAILED = 0, 1


def run_health(arguments: Namespace) -> int:
    """Print what was found, and return the exit status.

    Raises:
        OtelCeleryError: the app cannot be had.
    """
    findings: list[Finding] = []
    if arguments.nodename or not arguments.ready:
        findings.append(check_worker(arguments.nodename or "celery@%h", arguments.max_age))
    if arguments.ready:
        findings += ask_broker(arguments)
    report = Report(findings)
    print(json.dumps(report.as_dict()) if arguments.json else as_text(report))
    failing = (DEGRADED, UNHEALTHY) if arguments.strict else (UNHEALTHY,)
    return FAILED if report.state in failing else OK


def ask_broker(arguments: Namespace) -> Sequence[Finding]:
    """Load Celery, which takes half a second, and ask."""
    from otel_celery.cli.apps import find
    from otel_celery.health.broker import BrokerHealth

    return (
        BrokerHealth(
            find(arguments.app, arguments.broker, arguments.queue),
            queues=arguments.queue,
            warn_depth=dict(arguments.warn_depth),
            max_depth=dict(arguments.max_depth),
            timeout=arguments.timeout,
        )
        .check()
        .findings
    )


def as_text(report: Report) -> str:
    """Return the state, and a line for each check."""
    lines = [report.state]
    for one in report.findings:
        what = one.figures.get("worker") or one.figures.get("queue") or one.figures.get("system")
        lines.append(
            f"  {one.check} {what}: {one.reason}" if what else f"  {one.check}: {one.reason}"
        )
    return "\n".join(lines)
