"""What do people read who come from another program?

The text of docs/migrate/flower-and-celery-exporter.md.
"""

from __future__ import annotations

from collector.catalogue.migration import SOURCES
from collector.catalogue.page import table as markdown

_MOVE = """\
# Moving from Flower or celery-exporter

This page is written from `collector/catalogue/migration/`: `make docs`. Coming from \
opentelemetry-instrumentation-celery ("contrib"): [its own page](contrib.md) \
has its spans, attributes and metrics.

Names of others were read in their sources: Flower 2, danihodovic/celery-exporter 0.12 (on PyPI \
prometheus-exporter-celery), OvalMoney/celery-exporter 1.5 (on PyPI celery-exporter, for Celery 4).

1. Switch otel-celery on beside what you have. It needs no events: `worker_send_task_events` and \
`task_send_sent_event` may go when the other program does.
2. Compare for a day: the names of this page's third column beside the old ones.
3. Stop the other program and load the optional rules below, if old boards and alerts shall go \
on. They write the old names, with the old labels, from the new series. Not both at once: old \
boards would count twice.
4. Move boards to the new names when there is time: what the old names cannot say (killed, \
waiting, ledger) is only there.

What is different, whatever the name: events are lost where a broker or a monitor is busy, and a \
monitor that starts late has not seen the beginning; here the worker counts what it does itself. \
`hostname` of celery-exporter is the part of the nodename after `@`; `worker` of Flower the whole.

To load a file, name it in `prometheus.yml`:

```yaml
rule_files:
  - rules/*.yml
  - rules/optional/migration-flower.yml
```

"""

_MOVED_TITLES = {
    "celery-exporter": "danihodovic/celery-exporter",
    "flower": "Flower",
    "celery-exporter-1": "OvalMoney/celery-exporter",
}
_MOVED_NOTES = {
    "celery-exporter": "`celery_` is its prefix unless it was given another.",
    "flower": "contrib writes its histogram under the name `flower.task.runtime.seconds`, which"
    " becomes the same series: this file keeps its boards alive as well. Not together"
    " with `OTEL_CELERY_NAMES=contrib` or `dup`, which write that histogram themselves. Flower's"
    " pages of single tasks are traces here: search for `process <task>` in Jaeger.",
    "celery-exporter-1": "Its package no longer builds from source. Guides that speak of"
    " `celery_workers_active`, `celery_workers_total` or `celery_task_duration_seconds` name"
    " metrics that none of these programs has: use `celery:workers_online` and"
    " `messaging.process.duration`.",
}


def migration_page() -> str:
    """Return docs/migrate/flower-and-celery-exporter.md."""
    parts = []
    for name, rows in SOURCES.items():
        table = markdown(
            ("theirs", "labels", "here", "differs"),
            ((f"`{old.name}`", old.labels, old.ours, old.differs) for old in rows),
        )
        file = f"collector/prometheus/rules/optional/migration-{name}.yml"
        parts.append(
            f"## {_MOVED_TITLES[name]}\n\nRules: [{file}](../../{file}). {_MOVED_NOTES[name]}\n\n"
            f"{table}"
        )
    return _MOVE + "\n".join(parts)
