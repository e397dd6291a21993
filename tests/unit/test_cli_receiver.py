from __future__ import annotations

import gzip

import pytest

from otel_celery import conventions as c
from otel_celery.cli import receiver
from otel_celery.cli.receiver import Refused, take, unzip
from otel_celery.cli.store import Store
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
    monkeypatch.setattr(receiver, "MAX_BODY", 1000)
    with pytest.raises(Refused) as refused:
        unzip(body)
    assert refused.value.status == status
