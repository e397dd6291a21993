"""The receiver over a real connection, as exporters use it."""

from __future__ import annotations

import gzip
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from otel_celery.cli.receiver import Receiver
from otel_celery.view.intake import MAX_BODY, PROTOBUF
from otel_celery.view.store import Store
from tests.unit.cli_wire import ORDER, traces

BODY = traces(*ORDER).SerializeToString()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def connection(store):
    with Receiver(store) as receiver:
        connection = HTTPConnection(urlsplit(receiver.endpoint).netloc, timeout=10)
        yield connection
        connection.close()


def post(connection, body, path="/v1/traces", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, {"Content-Type": PROTOBUF, **names})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_one_connection_serves_many_requests(connection, store):
    assert post(connection, BODY) == (200, b"")
    assert post(connection, gzip.compress(BODY), Content_Encoding="gzip") == (200, b"")
    assert [len(spans) for spans in store.snapshot().traces.values()] == [len(ORDER)]


@pytest.mark.parametrize(
    ("body", "changes", "answer"),
    [
        pytest.param(
            b"text",
            {"Content_Type": "text/plain"},
            (415, b"expected application/x-protobuf or application/json, got text/plain"),
            id="text",
        ),
        pytest.param(
            BODY,
            {"Content_Encoding": "br"},
            (415, b"expected gzip or no encoding, got br"),
            id="other-compression",
        ),
        pytest.param(
            b"",
            {"Content_Length": str(MAX_BODY + 1)},
            (413, b"expected at most %d bytes" % MAX_BODY),
            id="too-large",
        ),
        pytest.param(
            b"", {"Content_Length": "-1"}, (411, b"expected a Content-Length"), id="no-length"
        ),
    ],
)
def test_what_is_not_taken_is_answered_with_what_was_expected(connection, body, changes, answer):
    assert post(connection, body, **changes) == answer
