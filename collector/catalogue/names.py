"""What is a metric or an attribute called in Prometheus?"""

from __future__ import annotations

from otel_celery.conventions import Metric

_UNITS = {"s": "seconds", "By": "bytes"}


def label(key: str) -> str:
    """Return the label that an attribute becomes.

    Source: OpenTelemetry specification, Prometheus compatibility, metric attributes.
    """
    return key.replace(".", "_")


def series(metric: Metric) -> str:
    """Return the name of a metric's series; a histogram's go on with `_bucket`, `_sum`, `_count`.

    Source: OpenTelemetry specification, Prometheus compatibility, metric metadata: unit in full,
    nothing for a unit in braces, `total` for a counter. Gauges of unit 1 get no `_ratio`: the
    Python exporter adds none, and `collector.yaml` takes their unit away so that both agree.
    """
    name = label(metric.name)
    unit = _UNITS.get(metric.unit, "")
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    return f"{name}_total" if metric.kind in ("counter", "observable_counter") else name
