"""Does an SDK span keep every word on its way to bytes and back?"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_celery.lanes.readable import Envelopes, decode_request, encode_readable
from otel_celery.otlp import Limits
from otel_celery.span import FinishedSpan
from tests.unit.test_otlp_differential import by_the_sdk, limits_of_all_sizes, spans


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """The SDK warns of each thing that it drops."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def canonical(request: bytes) -> bytes:
    message = ExportTraceServiceRequest.FromString(request)
    return message.SerializeToString(deterministic=True)


def stock(span: ReadableSpan) -> bytes:
    return encode_spans([span]).SerializeToString(deterministic=True)


@pytest.mark.newest_sdk
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(spans, limits_of_all_sizes)
def test_an_sdk_span_gives_the_message_of_the_stock_encoder(span: FinishedSpan, limits: Limits):
    """What its limits dropped is counted too."""
    readable = by_the_sdk(span, limits, {"service.name": "shop"})
    assert canonical(encode_readable(readable, Envelopes())) == stock(readable)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(spans, limits_of_all_sizes)
def test_a_decoded_request_says_the_same_again(span: FinishedSpan, limits: Limits):
    readable = by_the_sdk(span, limits, {"service.name": "shop"})
    (again,) = decode_request(encode_readable(readable, Envelopes()))
    assert stock(again) == stock(readable)


@pytest.mark.parametrize(
    ("resource", "scope_attributes"),
    [
        pytest.param(Resource({"a": 1}), None, id="plain"),
        pytest.param(Resource({"a": 1}), {"team": "a"}, id="scope-attributes"),
        pytest.param(Resource({"a": 1}, "https://schema"), None, id="resource-schema"),
    ],
)
def test_every_scope_and_resource_is_said_whole(
    resource: Resource, scope_attributes: dict[str, str] | None
):
    """Also where an Envelope has no word for it."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("lib", "2", "https://lib", scope_attributes)
    tracer.start_span("s").end()
    (readable,) = kept.get_finished_spans()
    assert canonical(encode_readable(readable, Envelopes())) == stock(readable)


@pytest.mark.parametrize("scope_attributes", [None, {"team": "a"}], ids=["ours", "stock"])
def test_an_exception_that_passes_a_span_tells_no_credentials(
    scope_attributes: dict[str, str] | None,
):
    """The SDK writes it down wherever it passes; what user code says by itself stays."""
    text = "no answer from redis://:pa55@host/0"
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"a": 1}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("lib", attributes=scope_attributes)
    with (
        pytest.raises(OSError, match="pa55"),
        tracer.start_as_current_span("s", attributes={"url": "http://u:own@h"}),
    ):
        raise OSError(text)
    (readable,) = kept.get_finished_spans()
    request = encode_readable(readable, Envelopes())
    assert b"pa55" not in request
    assert request.count(b"no answer from redis://***@host/0") == 3  # message, stack, status
    assert b"http://u:own@h" in request


def test_scopes_are_not_mixed_up():
    """Also when more of them come than are kept."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"a": 1}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for number in (1, 2, 3, 1):
        provider.get_tracer(f"lib{number}").start_span("s").end()
    envelopes = Envelopes(most=2)
    for readable in kept.get_finished_spans():
        assert canonical(encode_readable(readable, envelopes)) == stock(readable)


def test_invalid_text_does_not_spoil_a_request():
    """The stock encoder loses the whole batch for it."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.get_tracer("lib").start_span("s", attributes={"file": "a\udcff"}).end()
    (readable,) = kept.get_finished_spans()
    (again,) = decode_request(encode_readable(readable, Envelopes()))
    assert again.attributes["file"] == "a\ufffd"


def test_other_bytes_are_refused():
    with pytest.raises(DecodeError):
        decode_request(b"\xff\xff")
