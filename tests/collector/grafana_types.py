"""Does a dashboard's JSON fit Grafana's own types?

Grafana Labs generate `grafana-foundation-sdk` from the schemas in Grafana's sources. Its classes
read any JSON without complaint, so their annotations are what is compared: every key must exist,
every value must have the type, every word must be one of its enumeration.
"""

from __future__ import annotations

import enum
import importlib
import re
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any

with warnings.catch_warnings():
    # It recommends the next schema, which Grafana before 12 cannot import.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models import dashboard, prometheus

Complaints = Iterator[str]


def complaints(board: dict[str, Any]) -> Complaints:
    """Yield what in a dashboard Grafana has no place for."""
    yield from _fits(board, dashboard.Dashboard, board["uid"])


def _fits(value: Any, hint: Any, where: str) -> Complaints:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        found = [list(_fits(value, choice, where)) for choice in typing.get_args(hint)]
        yield from min(found, key=len)
    elif origin is list:
        yield from _each(value, typing.get_args(hint)[0], where)
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{where}: {value!r} is no map"
    elif origin is typing.Literal:
        if value not in typing.get_args(hint):
            yield f"{where}: {value!r} is none of {typing.get_args(hint)}"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [member.value for member in hint]:
            yield f"{where}: {value!r} is none of {[member.value for member in hint]}"
    elif hasattr(hint, "from_json"):
        yield from _object(value, hint, where)
    elif hint not in (object, Any):
        numbers = (int, float) if hint is float else hint
        if not isinstance(value, numbers) or (isinstance(value, bool) and hint is not bool):
            yield f"{where}: {value!r} is no {hint.__name__}"


def _each(value: Any, hint: Any, where: str) -> Complaints:
    if not isinstance(value, list):
        yield f"{where}: {value!r} is no list"
        return
    for place, item in enumerate(value):
        yield from _fits(item, hint, f"{where}[{place}]")


def _object(value: Any, model: Any, where: str) -> Complaints:
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no object"
        return
    hints = typing.get_type_hints(model)
    for key, item in value.items():
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
        hint = hints.get(name, hints.get(f"{name}_val"))
        if hint is None:
            yield f"{where}: {model.__name__} has no {key}"
        else:
            yield from _fits(item, _by_kind(value, model, key) or hint, f"{where}.{key}")
    if model is dashboard.Panel and value["type"] in _KINDS_WITH_FIELDS:
        custom = value["fieldConfig"]["defaults"].get("custom", {})
        yield from _fits(custom, _kind(value["type"]).FieldConfig, f"{where}.custom")


_KINDS_WITH_FIELDS = ("timeseries", "table", "heatmap", "piechart")


def _by_kind(value: dict[str, Any], model: Any, key: str) -> Any:
    """Return the type of what a panel says for its own kind alone."""
    if model is not dashboard.Panel:
        return None
    if key == "options":
        return _kind(value["type"]).Options
    if key == "targets" and value["datasource"]["type"] == "prometheus":
        return list[prometheus.Dataquery]
    return list[Any] if key == "targets" else None


def _kind(name: str) -> Any:
    return importlib.import_module(f"grafana_foundation_sdk.models.{name}")
