"""Imports go down the layers only, and nothing heavy is imported low."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.metadata import files
from pathlib import Path

import pytest

import otel_celery

ROOT = Path(otel_celery.__file__).parent
LAYERS = {
    "words": "settings conventions errors span redaction",
    "rules": "envelope timing outcome facts values headers spans otlp log_records contrib"
    " heartbeat",
    "instruments": "taskspan notes bounds cells metrics contrib_runtimes counts sampling",
    "Celery": "publish delivery request ending execution eager beat queues queue_metrics seams"
    " takeover guard voice logs log_tap unheard",
    "process": "process exporter lane_metrics sdk wire relay vitals alive speaker lanes courier"
    " worker hooks pool_process fork_gate sentry sentry_main sentry_task sentry_event",
    "top": "bootstrap",
    "tools": "__init__ auto distro configurator cli view testing health",
}
LAYER = {room: number for number, rooms in enumerate(LAYERS.values()) for room in rooms.split()}
SDK_ROOMS = {"sdk", "lanes", "relay", "configurator", "testing"}
API = {f"opentelemetry.{path.parts[1]}" for path in files("opentelemetry-api") or ()}

# Imports within functions: packages that only an extra brings, and the rooms that load our
# own modules when they are called, because importing them must stay cheap.
EXTRAS = (
    "opentelemetry.exporter", "opentelemetry.instrumentation", "prometheus_client", "redis",
    "sentry_sdk", "rich", "gevent", "eventlet",
)  # fmt: skip
LATE_ROOMS = {"__init__", "cli", "testing"}


def imports(tree: ast.AST, late: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each imported name in full, and whether a function imports it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, late) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            yield from ((f"{dots}{node.module or ''}.{name.name}", late) for name in node.names)
        else:
            called = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from imports(node, late or called)


def is_under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def room_of(name: str) -> str:
    """Return the file or folder of ours that an import of `name` leads to."""
    _, _, path = name.partition(".")
    room, inner, _ = path.partition(".")
    return room if inner or room in LAYER else "__init__"


def faults(room: str, source: str) -> list[str]:
    """Return what a file in `room` imports against the rules."""
    if room not in LAYER:
        return [f"{room} stands in no layer"]
    layer, found = LAYER[room], []
    for name, late in imports(ast.parse(source)):
        ours = is_under(name, "otel_celery")
        if name == "otel_celery.__version__":
            continue  # a word, though it stands in the face
        if name.startswith("."):
            found.append(f"{room}: {name} is relative")
        elif ours and LAYER.get(room_of(name), 0) > layer:
            found.append(f"{room}: {name} is above it")
        elif late and not (is_under(name, *EXTRAS) or (ours and room in LATE_ROOMS)):
            found.append(f"{room}: {name} is imported within a function")
        elif is_under(name, "opentelemetry.sdk") and room not in SDK_ROOMS:
            found.append(f"{room}: {name} belongs to the SDK")
        elif ours or name.split(".")[0] in sys.stdlib_module_names:
            continue
        elif layer < 2 or (layer == 2 and not is_under(name, *API)):
            found.append(f"{room}: {name} is too heavy for {list(LAYERS)[layer]}")
    return found


def sources() -> Iterator[tuple[str, Path]]:
    """Yield each file of ours with its room; the example in a wheel is a user's program."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[:2] != ("cli", "shop"):
            yield parts[0], path


def test_imports_go_down_only():
    """Every file has its layer, and names nothing above it."""
    assert [fault for room, path in sources() for fault in faults(room, path.read_text())] == []


def test_no_two_rooms_need_each_other():
    """Neighbours of one layer may import each other, but not in a circle."""
    graph: dict[str, set[str]] = {}
    for room, path in sources():
        needs = graph.setdefault(room, set())
        for name, late in imports(ast.parse(path.read_text())):
            if is_under(name, "otel_celery") and not late and name != "otel_celery.__version__":
                needs |= {room_of(name)} - {room}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    ("room", "source", "fault"),
    [
        pytest.param("helpers", "", "helpers stands in no layer", id="homeless"),
        pytest.param("timing", "import celery", "celery is too heavy for rules", id="heavy"),
        pytest.param(
            "otlp",
            "from opentelemetry.trace import Link",
            "opentelemetry.trace.Link is too heavy for rules",
            id="api-in-rules",
        ),
        pytest.param(
            "counts",
            "import opentelemetry.instrumentation.utils",
            "opentelemetry.instrumentation.utils is too heavy for instruments",
            id="more-than-the-api",
        ),
        pytest.param(
            "publish",
            "from otel_celery.lanes import Courier",
            "otel_celery.lanes.Courier is above it",
            id="upward",
        ),
        pytest.param(
            "outcome",
            "from otel_celery import seams",
            "otel_celery.seams is above it",
            id="upward-by-package",
        ),
        pytest.param(
            "speaker",
            "from otel_celery import instrument",
            "otel_celery.instrument is above it",
            id="face",
        ),
        pytest.param(
            "speaker",
            "if TYPE_CHECKING:\n import opentelemetry.sdk.trace",
            "opentelemetry.sdk.trace belongs to the SDK",
            id="sdk",
        ),
        pytest.param(
            "speaker",
            "def f():\n import kombu",
            "kombu is imported within a function",
            id="late",
        ),
        pytest.param("wire", "from .span import Link", ".span.Link is relative", id="relative"),
    ],
)
def test_each_rule_is_enforced(room, source, fault):
    """The checks above can fail."""
    assert [text.removeprefix(f"{room}: ") for text in faults(room, source)] == [fault]
