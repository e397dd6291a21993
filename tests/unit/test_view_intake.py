from __future__ import annotations

import base64
import gzip
import json

import pytest
from google.protobuf import json_format

from otel_celery import conventions as c
from otel_celery.view import intake
from otel_celery.view.intake import JSON, Refused, take, unpack, unzip
from otel_celery.view.store import Store
from tests.unit.cli_wire import ORDER, PAY, WORKER, metrics, number, traces


def test_each_path_takes_its_own_message():
    store = Store()
    take(store, "/v1/traces", traces(*ORDER).SerializeToString())
    take(store, "/v1/metrics", metrics(WORKER, number(c.SENT_MESSAGES, 1, PAY)).SerializeToString())
    take(store, "/v1/logs", b"whatever")
    found = store.snapshot()
    assert (len(found.traces), len(found.numbers)) == (1, 1)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/v1/trace", b"", 404, id="wrong-path"),
        pytest.param("/v1/traces", b"\xff\xff", 400, id="no-protobuf"),
        pytest.param("/v1/metrics", b"{}", 400, id="json"),
    ],
)
def test_anything_else_is_refused_and_nothing_is_kept(path, body, status):
    store = Store()
    with pytest.raises(Refused) as refused:
        take(store, path, body)
    assert refused.value.status == status
    assert store.snapshot() == Store().snapshot()


def test_gzip_is_unpacked():
    assert unzip(gzip.compress(b"plain")) == b"plain"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"plain", 400, id="not-gzip"),
        pytest.param(gzip.compress(b"plain")[:-9], 413, id="cut-off"),
        pytest.param(gzip.compress(bytes(2000)), 413, id="bomb"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(body, status, monkeypatch):
    monkeypatch.setattr(intake, "MAX_BODY", 1000)
    with pytest.raises(Refused) as refused:
        unzip(body)
    assert refused.value.status == status


def as_json(request) -> bytes:
    """Return a request as exporters write JSON: ids in hexadecimal."""

    def in_hex(told):
        if isinstance(told, list):
            return [in_hex(item) for item in told]
        if not isinstance(told, dict):
            return told
        return {
            key: base64.b64decode(item).hex() if key in intake.IDS else in_hex(item)
            for key, item in told.items()
        }

    return json.dumps(in_hex(json_format.MessageToDict(request))).encode()


def test_json_and_protobuf_say_the_same():
    spans = traces(*ORDER)
    points = metrics(WORKER, number(c.SENT_MESSAGES, 1, PAY))
    one, other = Store(), Store()
    for path, request in (("/v1/traces", spans), ("/v1/metrics", points)):
        take(one, path, request.SerializeToString())
        take(other, path, as_json(request), JSON)
    assert one.snapshot() == other.snapshot() != Store().snapshot()


def test_what_json_has_beyond_our_version_is_passed_over():
    store = Store()
    told = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "ab", "newer": [1]}]}]}]}
    take(store, "/v1/traces", json.dumps(told).encode(), JSON)
    assert list(store.snapshot().traces) == ["ab"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[1]", id="list"),
        pytest.param(b"3", id="number"),
        pytest.param(b"\xff", id="no-text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"resourceSpans": 1}', id="wrong-type"),
        pytest.param(b'{"resourceSpans": [1]}', id="wrong-type-inside"),
        pytest.param(
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}', id="no-id"
        ),
        pytest.param(
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}',
            id="surrogate",
        ),
    ],
)
def test_json_that_is_no_otlp_is_refused(body):
    store = Store()
    with pytest.raises(Refused) as refused:
        take(store, "/v1/traces", body, JSON)
    assert (refused.value.status, store.snapshot()) == (400, Store().snapshot())


def test_other_media_types_and_encodings_are_refused():
    with pytest.raises(Refused, match="expected application/x-protobuf or application/json"):
        take(Store(), "/v1/traces", b"", "text/plain")
    with pytest.raises(Refused, match="expected gzip or no encoding, got br"):
        unpack(b"", "br")
    assert unpack(b"as it is", "identity") == b"as it is"
