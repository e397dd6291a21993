"""What does Grafana want a dashboard to look like?

Ids come from titles and places from the order, so that moving a panel changes nobody's link to it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

from collector.catalogue.dashboards.model import Dashboard, Json, Link, Panel, Row, Steps

SCHEMA_VERSION = 42
"""Of Grafana 12; newer ones migrate it when they load it."""
WIDTH = 24  # columns of Grafana's grid
TAG = "otel-celery"
LETTERS = "ABCDEFGH"  # of the queries of a panel
PROMETHEUS: Json = {"type": "prometheus", "uid": "${datasource}"}
JAEGER: Json = {"type": "jaeger", "uid": "${jaeger}"}


def panel_id(title: str) -> int:
    """Return an id that stays as long as the title does."""
    return zlib.crc32(title.encode()) % 1_000_000 + 1


def build_dashboard(dashboard: Dashboard) -> Json:
    """Return the JSON that Grafana imports."""
    return {
        "uid": f"{TAG}-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.says,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair over all panels
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [_to_the_others()],
        "annotations": {"list": []},
        "templating": {"list": list(dashboard.variables)},
        "panels": list(_placed(dashboard.rows)),
    }


def _to_the_others() -> Json:
    return {
        "type": "dashboards",
        "title": "Celery",
        "tags": [TAG],
        "asDropdown": False,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "tooltip": "",
    }


def _placed(rows: Iterable[Row]) -> Iterable[Json]:
    """Lay panels out from left to right, as a page of text."""
    y = 0
    for row in rows:
        yield {
            "type": "row",
            "id": panel_id(f"row {row.title}"),
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
            "panels": [],
        }
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                y, x, tallest = y + tallest, 0, 0
            yield build_panel(panel, {"x": x, "y": y, "w": panel.width, "h": panel.height})
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def build_panel(panel: Panel, place: Json) -> Json:
    """Return the JSON of one panel at its place in the grid."""
    built: Json = {
        "type": panel.kind,
        "id": panel_id(panel.title),
        "title": panel.title,
        "description": panel.says,
        "gridPos": place,
        "datasource": JAEGER if panel.searches else PROMETHEUS,
        "targets": list(_targets(panel)),
        "options": _options(panel),
        "fieldConfig": {"defaults": _defaults(panel), "overrides": list(_overrides(panel))},
    }
    if panel.searches:
        built["transformations"] = [{"id": "merge", "options": {}}]
    elif panel.kind == "table":
        built["transformations"] = _columns_only(panel)
    return built


def _targets(panel: Panel) -> Iterable[Json]:
    for letter, tags in zip(LETTERS, panel.searches, strict=False):
        yield {
            "refId": letter,
            "datasource": JAEGER,
            "queryType": "search",
            "service": "${service}",
            "tags": tags,
            "limit": 20,
        }
    over_time = panel.kind in ("timeseries", "heatmap")
    answer = {"table": "table", "heatmap": "heatmap"}
    for letter, query in zip(LETTERS, panel.queries, strict=False):
        yield {
            "refId": letter,
            "datasource": PROMETHEUS,
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": query.legend,
            "format": answer.get(panel.kind, "time_series"),
            "instant": not over_time,
            "range": over_time,
            "exemplar": query.exemplars,
        }


def _options(panel: Panel) -> Json:
    tooltip: Json = {"mode": "multi", "sort": "desc"}
    legend: Json = {"displayMode": "table", "placement": "bottom", "showLegend": True}
    last: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "timeseries":
        return {"legend": {**legend, "calcs": ["lastNotNull", "max"]}, "tooltip": tooltip}
    if panel.kind == "stat":
        return {"reduceOptions": last, "colorMode": "value", "graphMode": "none"}
    if panel.kind == "gauge":
        return {"reduceOptions": last, "showThresholdMarkers": True}
    if panel.kind == "bargauge":
        return {"reduceOptions": last, "displayMode": "basic", "orientation": "horizontal"}
    if panel.kind == "piechart":
        right: Json = {**legend, "placement": "right", "calcs": [], "values": ["value", "percent"]}
        return {"reduceOptions": last, "pieType": "donut", "legend": right, "tooltip": tooltip}
    if panel.kind == "heatmap":
        return {
            "calculate": False,  # the buckets are Prometheus' own
            "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
            "yAxis": {"unit": panel.unit},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "tooltip": {"mode": "single", "yHistogram": True},
        }
    return {"showHeader": True, "cellHeight": "sm"}


def _defaults(panel: Panel) -> Json:
    shown: Json = {
        "unit": panel.unit,
        "thresholds": _thresholds(panel.steps),
        "links": [_link(link) for link in panel.links],
    }
    if panel.low is not None:
        shown["min"] = panel.low
    if panel.high is not None:
        shown["max"] = panel.high
    if panel.words:
        shown["mappings"] = [_mapping(panel.words)]
    if panel.kind in ("stat", "gauge", "bargauge"):
        shown["color"] = {"mode": "thresholds"}
    if panel.kind == "timeseries":
        shown["color"] = {"mode": "palette-classic"}
        shown["custom"] = {
            "drawStyle": "line",
            "fillOpacity": 40 if panel.stacked else 5,
            "lineWidth": 1,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if len(panel.steps) > 1 else "off"},
        }
    return shown


def _overrides(panel: Panel) -> Iterable[Json]:
    """Give each column of a table its unit, its colours and its words."""
    for column in panel.columns:
        properties: list[Json] = [{"id": "unit", "value": column.unit}]
        if column.steps:
            properties += [
                {"id": "thresholds", "value": _thresholds(column.steps)},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ]
        if column.words:
            properties.append({"id": "mappings", "value": [_mapping(column.words)]})
        yield {
            "matcher": {"id": "byName", "options": column.title},
            "properties": properties,
        }


def _columns_only(panel: Panel) -> list[Json]:
    """Join the answers by their labels, and leave out the time of asking."""
    order = {column.field: place for place, column in enumerate(panel.columns)}
    organised: Json = {
        "excludeByName": {"Time": True},
        "indexByName": order,
        "renameByName": {column.field: column.title for column in panel.columns},
    }
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organised}]


def _thresholds(steps: Steps) -> Json:
    return {"mode": "absolute", "steps": [{"value": at, "color": color} for at, color in steps]}


def _mapping(words: Mapping[str, str]) -> Json:
    options = {value: {"text": text, "index": n} for n, (value, text) in enumerate(words.items())}
    return {"type": "value", "options": options}


def _link(link: Link) -> Json:
    return {"title": link.title, "url": link.url, "targetBlank": True}
