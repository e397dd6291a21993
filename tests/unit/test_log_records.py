"""What are a log record's bytes in OTLP?"""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from otel_celery.lanes.reference_logs import decode_records
from otel_celery.lanes.replay import mended
from otel_celery.log_records import (
    _NOT_EXTRA,
    BODY_LIMIT,
    LogEnvelope,
    Running,
    encode_record,
    severity,
)
from otel_celery.redaction import MESSAGE_LIMIT, STACKTRACE_LIMIT
from otel_celery.values import clean

WHERE = Running(1 << 120, 1 << 60, 1, "id-1", "shop.pay")
TASK = {"celery.task.id": "id-1", "celery.task.name": "shop.pay"}
NOW = 1_700_000_000_000_000_000
RESOURCE = {"service.name": "shop", "service.instance.id": "w@h"}


def record(message: Any = "said", *args: Any, level: int = logging.INFO, **given: Any) -> Any:
    """Return a record as a logger makes it."""
    made = logging.LogRecord("shop.tasks", level, "/app/tasks.py", 7, message, args, None, "pay")
    made.__dict__.update(given)
    return made


def request(made: logging.LogRecord, where: Running = WHERE) -> ExportLogsServiceRequest:
    envelope = LogEnvelope(RESOURCE)
    return ExportLogsServiceRequest.FromString(envelope.request([encode_record(made, where, NOW)]))


def told(made: logging.LogRecord) -> dict[str, Any]:
    """Return body and attributes."""
    ((one,),) = (x.log_records for x in request(made).resource_logs[0].scope_logs)
    attributes = {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in one.attributes
    }
    return {"body": one.body.string_value, **attributes}


def by_reference(made: logging.LogRecord) -> ExportLogsServiceRequest:
    """Return what the stock encoder makes of the record that other exporters get."""
    (readable,) = decode_records(encode_record(made, WHERE, NOW), Resource(RESOURCE))
    return encode_logs([readable])


def by_the_handler(made: logging.LogRecord) -> ExportLogsServiceRequest:
    """Return what the SDK's own handler, provider and encoder make of a record."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    with pytest.warns(DeprecationWarning, match="opentelemetry-instrumentation-logging"):
        handler = LoggingHandler(logger_provider=provider)
    span = SpanContext(WHERE.trace_id, WHERE.span_id, False, TraceFlags(WHERE.flags))
    with use_span(NonRecordingSpan(span)):
        handler.emit(made)
    return encode_logs(exporter.get_finished_logs())


def only(message: ExportLogsServiceRequest) -> LogRecord:
    """Return the one record, its attributes in order, without when it was seen and the task."""
    one = LogRecord()
    one.CopyFrom(message.resource_logs[0].scope_logs[0].log_records[0])
    one.ClearField("observed_time_unix_nano")
    kept = sorted((x for x in one.attributes if x.key not in TASK), key=lambda x: x.key)
    del one.attributes[:]
    one.attributes.extend(kept)
    return one


def test_a_record_is_written_whole():
    """Each fact is in the field that the protocol has for it."""
    made = record("paid %d", 3, level=logging.WARNING, cart=5, created=1.5)
    (by_resource,) = request(made).resource_logs
    (by_scope,) = by_resource.scope_logs
    (one,) = by_scope.log_records
    assert {pair.key: pair.value.string_value for pair in by_resource.resource.attributes} == (
        RESOURCE
    )
    assert by_scope.scope.name == "shop.tasks"
    assert (one.time_unix_nano, one.observed_time_unix_nano) == (1_500_000_000, NOW)
    assert (one.severity_number, one.severity_text) == (13, "WARN")
    assert (one.trace_id, one.span_id, one.flags) == (b"\1" + bytes(15), b"\x10" + bytes(7), 1)
    assert told(made) == {
        "body": "paid 3",
        "cart": 5,
        "code.file.path": "/app/tasks.py",
        "code.function.name": "pay",
        "code.line.number": 7,
        **TASK,
    }


@pytest.mark.parametrize(
    ("level", "number"),
    [
        pytest.param(0, 0, id="unset"),
        pytest.param(9, 0, id="below-debug"),
        *(
            pytest.param(level, SeverityNumber[f"{name}{more}"].value, id=f"{level}")
            for name, base in
            [("DEBUG", 10), ("INFO", 20), ("WARN", 30), ("ERROR", 40), ("FATAL", 50)]
            for level, more in
            [(base, ""), (base + 1, "2"), (base + 2, "3"), (base + 3, "4"), (base + 9, "4")]
        ),
        pytest.param(1000, 24, id="beyond"),
    ],
)  # fmt: skip
def test_levels_are_the_conventions(level: int, number: int):
    assert severity(level) == number


def test_an_exception_is_told_with_its_module_and_its_stack():
    try:
        raise KeyError("missing at redis://user:secret@host/0")
    except KeyError:
        found = told(record("failed", exc_info=sys.exc_info()))
    assert found["exception.type"] == "KeyError"
    assert found["exception.message"] == "'missing at redis://***@host/0'"
    assert "in test_an_exception_is_told" in found["exception.stacktrace"]
    assert "secret" not in repr(found)


@pytest.mark.parametrize("nothing", [(None, None, None), None, False])
def test_no_exception_is_no_attribute(nothing: Any):
    assert not [key for key in told(record(exc_info=nothing)) if key.startswith("exception")]


class Odd(Exception):
    def __str__(self) -> str:
        raise TypeError("no words")


def test_an_exception_without_words_is_named():
    found = told(record(exc_info=(Odd, Odd(), None)))
    assert found["exception.type"].endswith("test_log_records.Odd")
    assert found["exception.message"] == "<Odd: str() raised TypeError>"


def test_credentials_in_urls_do_not_leave():
    found = told(
        record("to %s", "redis://user:secret@host/0", url="amqp://u:secret@h", stack_info="x://s@h")
    )
    assert found["body"] == "to redis://***@host/0"
    assert (found["url"], found["code.stacktrace"]) == ("amqp://***@h", "x://***@h")


class Address:
    def __str__(self) -> str:
        return "redis://u:secret@h"


class Mute:
    def __str__(self) -> str:
        raise TypeError("no words")


@pytest.mark.parametrize(
    ("given", "left"),
    [
        pytest.param({"url": "redis://u:secret@h"}, "redis://***@h", id="dictionary"),
        pytest.param({"redis://u:secret@h": 1}, "redis://***@h", id="key"),
        pytest.param([("redis://u:secret@h",)], "redis://***@h", id="list-of-tuples"),
        pytest.param(Address(), "redis://***@h", id="foreign"),
        pytest.param([Address()], "redis://***@h", id="foreign-within"),
        pytest.param([Mute()], "<list: raised TypeError>", id="raises"),
    ],
)
def test_no_credentials_leave_in_what_was_given(given: Any, left: str):
    """However deep they stand."""
    made = request(record(conf=given)).SerializeToString()
    assert left.encode() in made
    assert b"secret" not in made


def test_nested_values_are_cut_as_texts_are():
    """A list that names the next one twice, a cycle, many values, a long text."""
    shared: Any = ["end"]
    for _ in range(20):
        shared = [shared, shared]
    endless: dict[str, Any] = {}
    endless["self"] = [endless, endless]
    for value in (shared, endless, list(range(10**6)), {"text": "x" * 10**6}):
        made = request(record(conf=value)).SerializeToString()
        assert "…".encode() in made
        assert len(made) < 20 * MESSAGE_LIMIT


def test_long_texts_are_cut():
    """A stack is cut at its beginning: the end tells most."""
    try:
        raise ValueError("y" * 2 * STACKTRACE_LIMIT)
    except ValueError:
        found = told(record("x" * 2 * BODY_LIMIT, more="z" * 9999, exc_info=sys.exc_info()))
    assert found["body"] == "x" * (BODY_LIMIT - 1) + "…"
    assert found["more"] == "z" * (MESSAGE_LIMIT - 1) + "…"
    assert len(found["exception.message"]) == MESSAGE_LIMIT
    assert found["exception.stacktrace"] == "…" + "y" * (STACKTRACE_LIMIT - 2) + "\n"


def test_what_others_leave_on_a_record_is_no_attribute():
    """Formatters, Celery's, ours, contrib's."""
    ours = dict.fromkeys(("trace_id", "span_id", "celery.task.id"), "mine")
    others = dict.fromkeys(("message", "asctime", "task_id", "task_name", "otelTraceID"), "x")
    made = record()
    made.__dict__.update(**ours, **others)
    assert told(made) == told(record())


@pytest.mark.parametrize(
    ("message", "args", "body"),
    [
        pytest.param("%d of %s", (1,), "%d of %s", id="arguments-do-not-fit"),
        pytest.param({"a": 1}, (), "{'a': 1}", id="no-text"),
        pytest.param("\ud800é", (), "\ufffdé", id="no-unicode"),
        pytest.param("", (), "", id="empty"),
    ],
)
def test_odd_messages_have_a_body(message: Any, args: tuple[Any, ...], body: str):
    assert told(record(message, *args))["body"] == body


def test_what_is_ours_cannot_be_given():
    """Neither the task nor the place; each attribute is there once."""
    made = record(created=1.5)
    made.__dict__.update(dict.fromkeys((*TASK, "code.file.path", "code.line.number"), "forged"))
    assert request(made) == request(record(created=1.5))


def test_no_more_attributes_than_the_sdk_has():
    """Of what is given the last ones stay; what was dropped is counted."""
    made = record(**{f"key_{number}": number for number in range(200)})
    ((one,),) = (x.log_records for x in request(made).resource_logs[0].scope_logs)
    assert (len(one.attributes), one.dropped_attributes_count) == (128, 77)
    assert {"key_199", "code.file.path", *TASK} <= {pair.key for pair in one.attributes}


def test_without_a_span_there_are_no_ids():
    (one,) = (
        request(record(), Running(0, 0, 0, "id-1", "shop.pay"))
        .resource_logs[0]
        .scope_logs[0]
        .log_records
    )
    assert (one.trace_id, one.span_id, one.flags) == (b"", b"", 0)


def test_records_join():
    """What is put together is one valid request, as main makes it of what it was told."""
    parts = [encode_record(record(word), WHERE, NOW) for word in ("a", "b")]
    (by_resource,) = ExportLogsServiceRequest.FromString(
        LogEnvelope(RESOURCE).request([b"".join(parts), parts[0]])
    ).resource_logs
    words = [x.log_records[0].body.string_value for x in by_resource.scope_logs]
    assert words == ["a", "b", "a"]


text = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
values = st.recursive(
    text | numbers | st.booleans() | st.none() | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text.filter(bool), inner),
    max_leaves=5,
)
# `logging` takes none of its own names as `extra`; ours we take for what we left there ourselves.
REFUSED = {"", *_NOT_EXTRA, *vars(record())}
extras = st.dictionaries(text.filter(lambda key: key not in REFUSED), values, max_size=5)


records = given(text, text.filter(bool), st.integers(0, 60), extras, st.floats(0, 4e9))
often = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.newest_sdk
@often
@records
def test_other_exporters_get_the_same_message(words, name, level, extra, created):
    """The stock encoder, given the record of the reference lane, writes the same bytes' message."""
    made = record(words.replace("%", ""), level=level, created=created, **extra)
    made.name = name
    assert request(made) == by_reference(made)


@pytest.mark.newest_sdk
@often
@records
def test_a_random_record_gives_the_message_of_the_sdk(words, name, level, extra, created):
    """As the SDK's handler translates it, where its encoder can write it at all."""
    extra = {clean(key): mended(value) for key, value in extra.items()}
    made = record(clean(words).replace("%", ""), level=level, created=created, **extra)
    made.name = clean(name)
    ours, theirs = request(made), by_the_handler(made)
    assert only(ours) == only(theirs)
    assert ours.resource_logs[0].resource == theirs.resource_logs[0].resource
    assert ours.resource_logs[0].scope_logs[0].scope == theirs.resource_logs[0].scope_logs[0].scope
