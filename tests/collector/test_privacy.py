"""What leaves the Collector names nobody, and still says which task it was."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.collectors import Collector, attributes, process, read
from tests.receiver import Receiver
from tests.waiting import eventually

pytestmark = pytest.mark.stack

SECRETS = {
    "mail": ("to joe.doe+x@mail.example.com, please", "to ****, please"),
    "card": ("4111111111111111", "****"),
    "card-in-groups": ("paid with 5500 0000 0000 0004.", "paid with ****."),
    "card-with-dashes": ("3782-822463-10005", "****"),
    "url": ("redis://user:pa55@broker:6379/0", "redis://****@broker:6379/0"),
    "url-of-a-token": ("at https://:t0k3n@db.example.com/x", "at https://****@db.example.com/x"),
}
NO_SECRETS = {
    "celery.worker.name": "celery@web1.example.com",
    "messaging.message.id": "41111111-1111-4111-8111-111111111111",
    "celery.task.root_id": "4111111111111111",
    "celery.task.id": "joe@mail.example.com",
    "span_id": "4111111111111111",
    "celery.task.name": "shop.pay.4111",
    "order": "41234567-1234-4123-8234-123456789012",
    "hex": "41111111111111111234567890abcdef",
    "trace": "4" * 32,
    "at": "2026-01-31T12:00:00.123456Z",
    "nanoseconds": "1767225600123456789",
    "version": "1.2.3-4@beta",
    "address": "redis://broker:6379/0",
}


@pytest.fixture
def cleaned(otelcol: Path, tmp_path: Path, backend: Receiver) -> Iterator[Collector]:
    collector = Collector(otelcol, tmp_path, environ={"TRACES_ENDPOINT": backend.url})
    with collector.running():
        yield collector


def through(collector: Collector, backend: Receiver, span: Span, **resource: str) -> Span:
    """Send a span and return it as the backend got it."""
    collector.send(span, **resource)
    found = eventually(lambda: [s for s in backend.spans if s.span_id == span.span_id], 30)
    return found[0]


def test_secrets_are_masked_wherever_a_value_holds_them(cleaned: Collector, backend: Receiver):
    given = {name: dirty for name, (dirty, _) in SECRETS.items()}
    span = process(error="; ".join(given.values()))
    span.attributes.extend(attributes(given | {"as-number": 4111111111111111}))
    span.attributes.extend(attributes({"list": ["joe@mail.example.com", "b"]}))
    event = span.events.add(name="exception")
    event.attributes.extend(attributes(given))
    got = through(cleaned, backend, span)
    masked = {name: clean for name, (_, clean) in SECRETS.items()}
    assert {name: read(got)[name] for name in masked} == masked
    assert read(got)["as-number"] == "****"
    assert "joe" not in str(read(got)["list"])
    assert {pair.key: pair.value.string_value for pair in got.events[0].attributes} == masked
    assert got.status.message == "; ".join(masked.values())


def test_a_secret_of_the_process_is_masked(cleaned: Collector, backend: Receiver):
    through(cleaned, backend, process(), **{"process.command_line": SECRETS["url"][0]})
    resource = backend.traces[0].resource_spans[0].resource
    told = {pair.key: pair.value.string_value for pair in resource.attributes}
    assert told["process.command_line"] == SECRETS["url"][1]


def test_ids_and_names_pass_as_they_are(cleaned: Collector, backend: Receiver):
    span = process(trace_id=bytes.fromhex("4" * 32))
    span.attributes.extend(attributes({**NO_SECRETS, "celery.task.retries": 0}))
    numbers = {"count": 12345678901234, "share": 0.25, "yes": True, "pid": 4111}
    span.attributes.extend(attributes(numbers))
    worker = {"service.instance.id": "celery@web1.example.com", "host.name": "web1.example.com"}
    got = through(cleaned, backend, span, **worker)
    assert (got.trace_id, got.span_id, got.name) == (span.trace_id, span.span_id, span.name)
    assert read(got) == read(span)
    resource = backend.traces[0].resource_spans[0].resource
    told = {pair.key: pair.value.string_value for pair in resource.attributes}
    assert told == worker | {"service.name": "shop-worker"}


def test_no_task_id_is_ever_taken_for_a_card(cleaned: Collector, backend: Receiver):
    """One in a thousand begins with sixteen digits."""
    span = process()
    ids = {f"id.{number}": str(uuid.UUID(bytes=_digits(), version=4)) for number in range(100)}
    span.attributes.extend(attributes(ids))
    got = read(through(cleaned, backend, span))
    assert {name: got[name] for name in ids} == ids


def _digits() -> bytes:
    """Return sixteen bytes that are written with decimal digits only, the first of a card."""
    text = "4" + "".join(secrets.choice("0123456789") for _ in range(31))
    return bytes.fromhex(text)


ARGUMENTS = {
    "celery.task.args": "('secret',)",
    "celery.task.kwargs": "{'to': 'joe@mail.example.com'}",
    "celery.task.result": "'secret'",
}


def test_arguments_and_results_do_not_pass(cleaned: Collector, backend: Receiver):
    span = process()
    before = read(span)
    span.attributes.extend(attributes(ARGUMENTS))
    assert read(through(cleaned, backend, span)) == before


def test_arguments_pass_where_they_were_asked_for_but_clean(
    otelcol: Path, tmp_path: Path, backend: Receiver
):
    environ = {"TRACES_ENDPOINT": backend.url, "PRIVACY_KEEP_ARGUMENTS": "true"}
    collector = Collector(otelcol, tmp_path, environ=environ)
    span = process()
    span.attributes.extend(attributes(ARGUMENTS))
    with collector.running():
        got = read(through(collector, backend, span))
    assert got["celery.task.args"] == "('secret',)"
    assert got["celery.task.kwargs"] == "{'to': '****'}"


def test_what_is_too_long_is_cut(cleaned: Collector, backend: Receiver):
    span = process()
    span.attributes.extend(attributes({"long": "a" * 10_000}))
    span.events.add(name="exception").attributes.extend(
        attributes({"exception.stacktrace": "b" * 100_000})
    )
    got = through(cleaned, backend, span)
    assert len(str(read(got)["long"])) == 4096
    assert len(got.events[0].attributes[0].value.string_value) == 32768
