"""Do README and docs say what the code does, and does what they name exist?"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

import otel_celery
from otel_celery import contrib
from otel_celery import conventions as c
from otel_celery.lane_metrics import LANE_METRICS
from otel_celery.metrics import Instruments
from otel_celery.queues import QueueReading
from otel_celery.queues.once import Answer, Question
from otel_celery.sdk.system_metrics import _ASKED
from otel_celery.settings import rows
from tests import tables
from tests.unit.stand_ins import memory_app

ROOT = tables.ROOT
PAGES = tuple(page for page in tables.PAGES if page.exists())
ALL_PAGES = (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
DOCS = "\n".join(page.read_text() for page in PAGES)
CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
METRICS = (*c.METRICS, *LANE_METRICS)
PROCESS_KEYS = {"process.cpu.time", *_ASKED}  # of the extra system-metrics


def each(*pages: Path) -> pytest.MarkDecorator:
    ids = [page.relative_to(ROOT).as_posix() for page in pages]
    return pytest.mark.parametrize("page", pages, ids=ids)


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in CODE.findall(page.read_text()) if name == language]


def spoken(page: Path) -> str:
    """Return a page without its code, and without the names that others give things."""
    text = CODE.sub("", page.read_text())
    if page.parent.name == "migrate":
        text = re.sub(r"^\|[^|]*\|", "|", text, flags=re.MULTILINE)
    return text


def attribute_names() -> set[str]:
    """Return the keys of all spans, points and log records."""
    found = {key for keys in c.SPAN_ATTRIBUTES.values() for key in keys}
    found |= {key for metric in METRICS for key in metric.keys}
    return found | {c.LOG_TASK_ID}


def slug(heading: str) -> str:
    """Return the anchor of a heading, as renderers of Markdown make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = CODE.sub("", page.read_text())
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(page: Path) -> Iterator[str]:
    """Yield each `make ...` of a page."""
    text = page.read_text()
    lines = [line for _, code in CODE.findall(text) for line in code.splitlines()]
    for said in (*lines, *re.findall(r"`([^`\n]+)`", CODE.sub("", text))):
        if said.startswith("make "):
            yield said


@each(*PAGES)
def test_tables_are_what_the_code_says(page: Path) -> None:
    """`make docs` would change nothing."""
    assert tables.renewed(page.read_text()) == page.read_text()


@each(*ALL_PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    """Files and headings that a page points to exist."""
    for link in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page.read_text())):
        if not link.startswith(("http://", "https://")):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@each(*ALL_PAGES)
def test_commands_of_make_exist(page: Path) -> None:
    for command in commands(page):
        words = re.sub(r"""\w+=("[^"]*"|\S+)|#.*""", "", command).split()[1:]
        assert words, command
        assert set(words) <= targets(), command


@each(*PAGES)
def test_names_on_the_wire_are_those_of_the_code(page: Path) -> None:
    """A name in code letters that looks like one of ours is one."""
    known = attribute_names() | {metric.name for metric in METRICS}
    if page.parent.name == "migrate":
        known |= {name for name in vars(contrib).values() if isinstance(name, str)}
    pattern = r"`((?:celery|messaging|otel_celery|otel\.sdk)\.[\w.]+\w)(?:[`=].*?)?`"
    for name in re.findall(pattern, spoken(page)):
        module, _, face = name.partition(".")
        if module == "otel_celery" and name not in known:
            assert face in ("auto", "testing.QueueReaderContract") or hasattr(otel_celery, face)
        else:
            assert name in known


def test_everything_on_the_wire_is_explained() -> None:
    """Each metric, attribute, state and header stands on some page."""
    names = {metric.name for metric in METRICS} | attribute_names() | {*c.STATES}
    names |= PROCESS_KEYS | c.MESSAGE_HEADERS | {c.BAGGAGE}
    assert not {name for name in names if f"`{name}`" not in DOCS}
    assert set(tables.STATES) == set(c.STATES)
    assert set(tables.HEADERS) == c.MESSAGE_HEADERS | {c.BAGGAGE}
    spans = {key for keys in c.SPAN_ATTRIBUTES.values() for key in keys}
    assert set(tables.ATTRIBUTES) == spans


def test_attributes_are_marked_for_the_spans_that_have_them() -> None:
    heads, _, *rows = (line.split(" | ") for line in tables.attributes().splitlines())
    marked = {
        (span, row[0].strip("|` "))
        for row in rows
        for span, mark in zip(heads[1:-1], row[1:-1], strict=True)
        if mark == "x"
    }
    assert marked == {(span, key) for span, keys in c.SPAN_ATTRIBUTES.items() for key in keys}


def test_nothing_was_read_in_another_encoding() -> None:
    """UTF-8 that somebody took for Latin-1 shows as two odd characters."""
    odd = re.compile("[\u00c2\u00c3\u00e2][\u0080-\u00bf\u0152-\u2122]")
    assert [page.name for page in ALL_PAGES if odd.search(page.read_text("utf-8"))] == []


def test_variables_are_those_of_the_settings() -> None:
    """None of ours is missing, and none is made up."""
    ours = {item.metadata["var"] for item in rows()}
    named = set(re.findall(r"\bOTEL_CELERY_[A-Z_]*[A-Z]\b|\bSENTRY_DSN\b", DOCS))
    assert named == ours


def test_settings_without_effect_are_named_as_such() -> None:
    """What no module looks at is accepted and does nothing: README and settings page say so."""
    read = set()
    for module in (ROOT / "otel_celery").rglob("*.py"):
        read |= set(re.findall(r"settings\.(\w+)", module.read_text()))
    idle = {item.metadata["var"] for item in rows() if item.name not in read}
    for page, sign in ((ROOT / "docs" / "settings.md", "**Without effect"), (PAGES[0], "- Not in")):
        said = [line for line in page.read_text().splitlines() if line.startswith(sign)]
        assert set(re.findall(r"`([A-Z_]+)`", "".join(said))) == idle


@each(*PAGES)
def test_examples_are_python(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")


@pytest.mark.parametrize(("depth", "status"), [(3, 200), (1001, 503)])
def test_the_snippets_of_health_answer_a_probe(
    monkeypatch: pytest.MonkeyPatch, depth: int, status: int
) -> None:
    """Those for ASGI and WSGI, as they stand on the page."""
    asgi, wsgi, _django = blocks(ROOT / "docs" / "health.md", "python")
    queues = [QueueReading("mail", depth)]
    monkeypatch.setattr(Question, "ask", lambda _: Answer("redis", 0.001, None, queues))
    proj = SimpleNamespace(app=memory_app())
    monkeypatch.setitem(sys.modules, "proj", SimpleNamespace(celery=proj))
    monkeypatch.setitem(sys.modules, "proj.celery", proj)
    said: list[Any] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    made: dict[str, Any] = {}
    exec(asgi, made)
    asyncio.run(made["health"]({}, None, send))
    start, body = said
    assert start["status"] == status
    exec(wsgi, made)
    (again,) = made["health"]({}, lambda *line: said.append(line))
    assert said[2][0].startswith(f"{status} ")
    assert body["body"] == again
    assert json.loads(again)["checks"][1]["ready"] == depth
    proj.app.close()


def exposed() -> set[str]:
    """Return all names of metrics and labels as Prometheus sees them."""
    registry = CollectorRegistry(auto_describe=False)
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    instruments = Instruments(provider.get_meter("docs"))
    for metric in c.METRICS:
        keys = dict.fromkeys(metric.keys, "x")
        if metric.kind == "counter":
            instruments.add(metric, 1, keys)
        elif metric.kind == "histogram":
            instruments.record(metric, 1, keys)
        else:
            instruments.observe(metric, lambda keys=keys: [(1, keys)])
    samples = [sample for family in registry.collect() for sample in family.samples]
    provider.shutdown()
    return {sample.name for sample in samples} | {key for one in samples for key in one.labels}


def test_queries_ask_for_what_prometheus_has() -> None:
    """Metrics and labels in PromQL are named as an exporter names them."""
    queries = [re.sub(r"#.*", "", query) for page in PAGES for query in blocks(page, "promql")]
    asked = set(re.findall(r"\b(?:celery|messaging|otel_celery)_\w+|\berror_type\b", str(queries)))
    assert len(asked) > 10
    assert asked <= exposed()


def test_the_faq_quotes_what_was_measured() -> None:
    """A result that is taken anew changes docs/faults.md, and must change the answer too."""
    faults = (ROOT / "docs" / "faults.md").read_text()
    quoted = re.findall(
        r"\b([\d,]+ of [\d,]+|\d+(?= µs)|[\d.]+ MiB)", (ROOT / "docs" / "faq.md").read_text()
    )
    assert len(quoted) > 10
    assert [figure for figure in quoted if figure not in faults] == []


def test_the_readme_is_short_and_its_picture_small() -> None:
    assert len(PAGES[0].read_text().splitlines()) < 200
    picture = ROOT / "docs" / "demo.svg"
    assert picture.stat().st_size < 200 * 1024
    assert "http" not in picture.read_text().replace("http://www.w3.org/2000/svg", "").replace(
        "https://www.textualize.io", ""
    )
