"""One attempt over HTTP says what to do next, and is dressed as the stock exporter's."""

from __future__ import annotations

import logging
import math
import socket
import time
import traceback
from email.utils import formatdate
from typing import NoReturn

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_celery.errors import ConfigError
from otel_celery.lanes import otlp_http
from otel_celery.lanes.otlp_http import Answer, OtlpHttp, Target, Verdict
from otel_celery.lanes.reference_logs import decode_records
from otel_celery.log_records import Running, encode_record
from otel_celery.otlp import Envelope
from otel_celery.sdk import build_log_lane
from tests import receiver as other_side
from tests.receiver import Receiver

BODY = Envelope({"service.name": "shop"}, "otel_celery", "1").request([b"\x2a\x04work"])


def stock_attempt() -> None:
    """Have the stock exporter send one span."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    provider.get_tracer("t").start_span("s").end()


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"HEADERS": "api-key=k%20y,x-scope=a=b"}, id="headers"),
        pytest.param(
            {"HEADERS": "api-key=all", "TRACES_HEADERS": "api-key=traces"}, id="headers-of-traces"
        ),
        pytest.param({"HEADERS": "user-agent=mine"}, id="user-agent"),
        pytest.param({"COMPRESSION": "gzip"}, id="gzip"),
        pytest.param({"COMPRESSION": "deflate"}, id="deflate"),
        pytest.param({"COMPRESSION": "none"}, id="no-compression"),
        pytest.param({"COMPRESSION": "gzip", "TRACES_COMPRESSION": "none"}, id="of-traces-wins"),
        pytest.param({"ENDPOINT": "{url}/base"}, id="base-path"),
        pytest.param({"ENDPOINT": "{url}/base/"}, id="base-path-with-slash"),
        pytest.param({"TRACES_ENDPOINT": "{url}/mine/v1/traces"}, id="traces-endpoint-as-it-is"),
        pytest.param({"TRACES_ENDPOINT": "{url}/v1/traces?token=t"}, id="query"),
    ],
)
def test_requests_look_like_those_of_the_stock_exporter(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
):
    """Same path, headers and encoding for every variable that the stock exporter honours."""
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value.format(url=receiver.url))
    stock_attempt()
    assert OtlpHttp.from_env()(BODY, 10.0) == Answer(Verdict.DELIVERED)
    stock, ours = receiver.received
    length = {"content-length": "any"}
    assert (ours.path, {**ours.headers, **length}) == (stock.path, {**stock.headers, **length})
    assert ours.body == BODY


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="defaults"),
        pytest.param(
            {"HEADERS": "api-key=all", "LOGS_HEADERS": "api-key=logs"}, id="headers-of-logs"
        ),
        pytest.param({"COMPRESSION": "none", "LOGS_COMPRESSION": "gzip"}, id="gzip-for-logs"),
        pytest.param({"ENDPOINT": "{url}/base"}, id="base-path"),
        pytest.param({"LOGS_ENDPOINT": "{url}/loki/otlp/v1/logs"}, id="logs-endpoint-as-it-is"),
    ],
)
def test_requests_for_logs_look_like_those_of_the_stock_exporter(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
):
    """The same, of the variables for logs; those for traces have no say."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/nowhere")
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value.format(url=receiver.url))
    made = logging.LogRecord("shop", 20, "", 1, "said", (), None)
    part = encode_record(made, Running(1, 2, 1, "id-1", "shop.pay"), 5)
    resource = Resource({"service.name": "shop"})
    assert OTLPLogExporter().export(decode_records(part, resource)) is LogRecordExportResult.SUCCESS
    lane = build_log_lane(resource)
    lane.put_part(part, 1)
    assert lane.export(math.inf) is None
    lane.close()
    stock, ours = receiver.received
    assert (ours.path, ours.headers) == (stock.path, stock.headers)
    first, second = receiver.logs
    assert first == second


def test_timeout_and_certificates_are_those_of_the_variables(monkeypatch: pytest.MonkeyPatch):
    """What a request does not show is read too, that of traces first; no other variable wins."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/other.pem")
    for name, value in {
        "TIMEOUT": "7",
        "TRACES_TIMEOUT": "2.5",
        "CERTIFICATE": "/etc/ca.pem",
        "CLIENT_CERTIFICATE": "/etc/all.pem",
        "TRACES_CLIENT_CERTIFICATE": "/etc/me.pem",
        "CLIENT_KEY": "/etc/me.key",
    }.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    target = Target.from_sdk()
    assert (target.timeout, target.verify, target.cert) == (
        2.5,
        "/etc/ca.pem",
        ("/etc/me.pem", "/etc/me.key"),
    )


@pytest.mark.parametrize("endpoint", ["localhost:4318", "collector", "//collector"])
def test_endpoint_without_a_scheme_fails_at_start(monkeypatch: pytest.MonkeyPatch, endpoint: str):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    with pytest.raises(ConfigError, match="expected a URL such as http://localhost:4318"):
        OtlpHttp.from_env()


def test_shown_endpoint_has_no_secrets():
    """Neither a password nor a token may reach a log."""
    target = Target("https://user:secret@host:4318/v1/traces?token=t", {}, 1.0, True, None)
    assert target.shown == "https://host:4318/v1/traces"


def test_unknown_credential_provider_fails_at_start():
    with pytest.raises(ConfigError, match="'nobody': expected a provider"):
        otlp_http.open_session(
            "TRACES", {"OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER": "nobody"}
        )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(other_side.Answer(202), Answer(Verdict.DELIVERED), id="accepted"),
        pytest.param(
            other_side.partial_success(3), Answer(Verdict.DELIVERED, rejected=3), id="partial"
        ),
        pytest.param(
            other_side.Answer(200, {"Content-Type": other_side.PROTOBUF}, b"\xff"),
            Answer(Verdict.DELIVERED),
            id="garbled-success",
        ),
        pytest.param(other_side.Answer(429), Answer(Verdict.AGAIN, "HTTP 429"), id="429"),
        pytest.param(other_side.Answer(502), Answer(Verdict.AGAIN, "HTTP 502"), id="502"),
        pytest.param(other_side.Answer(504), Answer(Verdict.AGAIN, "HTTP 504"), id="504"),
        pytest.param(
            other_side.Answer(503, {"Retry-After": "17"}),
            Answer(Verdict.AGAIN, "HTTP 503", 17.0),
            id="retry-after",
        ),
        pytest.param(
            other_side.Answer(503, {"Retry-After": "soon"}),
            Answer(Verdict.AGAIN, "HTTP 503"),
            id="retry-after-in-words",
        ),
        pytest.param(
            other_side.Answer(429, {"Retry-After": "1e9"}),
            Answer(Verdict.AGAIN, "HTTP 429", 300.0),
            id="retry-after-31-years",
        ),
        pytest.param(other_side.Answer(400), Answer(Verdict.REFUSED, "HTTP 400"), id="400"),
        pytest.param(other_side.Answer(401), Answer(Verdict.REFUSED, "HTTP 401"), id="401"),
        pytest.param(other_side.Answer(500), Answer(Verdict.REFUSED, "HTTP 500"), id="500"),
        pytest.param(other_side.Answer(413), Answer(Verdict.TOO_LARGE, "HTTP 413"), id="413"),
        pytest.param(
            other_side.Answer(307, {"Location": "http://127.0.0.1:1/"}),
            Answer(Verdict.REFUSED, "HTTP 307"),
            id="redirect",
        ),
    ],
)
def test_status_decides_what_happens_next(
    receiver: Receiver, said: other_side.Answer, expected: Answer
):
    receiver.answers.append(said)
    assert OtlpHttp.from_env()(BODY, 10.0) == expected
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(other_side.Answer(half=True), id="half"),
        pytest.param(
            other_side.Answer(headers={"Content-Encoding": "gzip"}, body=b"no gzip"), id="garbled"
        ),
        pytest.param(other_side.Answer(endless=0.0), id="endless"),
        pytest.param(other_side.Answer(endless=0.05), id="endless-and-slow"),
    ],
)
def test_what_was_taken_is_not_sent_again_for_an_odd_answer(
    receiver: Receiver, said: other_side.Answer
):
    """The status says that the other side has it; the rest costs neither much time nor memory."""
    receiver.answers.append(said)
    began = time.monotonic()
    assert OtlpHttp.from_env()(BODY, 0.5) == Answer(Verdict.DELIVERED)
    assert time.monotonic() - began < 5
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(other_side.Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), id="not-http"),
        pytest.param(other_side.Answer(raw=b"HTTP/1.1 2"), id="half-a-status"),
    ],
)
def test_who_speaks_no_http_is_tried_again(receiver: Receiver, said: other_side.Answer):
    receiver.answers.extend([said, said])
    assert OtlpHttp.from_env()(BODY, 5.0) == Answer(Verdict.AGAIN, "ConnectionError")


def test_retry_after_may_be_a_date(receiver: Receiver):
    receiver.answers.append(
        other_side.Answer(503, {"Retry-After": formatdate(time.time() + 60, usegmt=True)})
    )
    answer = OtlpHttp.from_env()(BODY, 10.0)
    assert answer.retry_after == pytest.approx(60, abs=10)


def test_connection_is_kept(receiver: Receiver):
    post = OtlpHttp.from_env()
    assert {post(BODY, 10.0).verdict for _ in range(3)} == {Verdict.DELIVERED}
    assert len({request.connection for request in receiver.received}) == 1


def test_reset_connection_gets_a_second_attempt_at_once(receiver: Receiver):
    """A kept connection that the other side closed is no reason to wait."""
    receiver.answers.append(other_side.Answer(reset=True))
    assert OtlpHttp.from_env()(BODY, 10.0) == Answer(Verdict.DELIVERED)
    assert len(receiver.received) == 2


def test_silent_receiver_costs_no_more_than_the_timeout(receiver: Receiver):
    """And is tried only once: a second attempt would double the wait."""
    receiver.answers.append(other_side.Answer(stall=True))
    began = time.monotonic()
    assert OtlpHttp.from_env()(BODY, 0.2) == Answer(Verdict.AGAIN, "ReadTimeout")
    assert time.monotonic() - began < 2
    assert len(receiver.received) == 1


def test_nobody_listening_is_worth_another_try(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        assert OtlpHttp.from_env()(BODY, 10.0) == Answer(Verdict.AGAIN, "ConnectionError")


def test_an_exporter_of_the_sdk_has_no_secrets_to_log():
    """It logs what its session raises, and that names the address that was asked for."""
    session = otlp_http.discreet(requests.Session())
    with pytest.raises(requests.ConnectionError) as fault:
        session.post("http://me:pa55@127.0.0.1:1/v1/metrics?token=t0ken", b"")
    said = "".join(traceback.format_exception(fault.value))
    assert "url: /v1/metrics?*** " in said
    assert "Connection refused" in said
    assert "pa55" not in said.replace('"http://me:pa55', "")  # a line of this file
    assert "t0ken" not in said.replace("?token=t0ken", "")


def test_missing_certificate_file_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch):
    """It may be mounted later."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem")
    assert OtlpHttp.from_env()(BODY, 10.0) == Answer(Verdict.AGAIN, "OSError")


def test_credential_provider_makes_the_session(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    """Its authentication is on every request."""

    class Signed(requests.Session):
        def __init__(self) -> None:
            super().__init__()
            self.auth = ("worker", "secret")

    class Offer:
        @staticmethod
        def load() -> type[requests.Session]:
            return Signed

    monkeypatch.setattr(otlp_http, "entry_points", lambda **_: [Offer])
    monkeypatch.setenv(otlp_http.CREDENTIALS, "signed")
    OtlpHttp.from_env()(BODY, 10.0)
    assert receiver.received[0].headers["authorization"].startswith("Basic ")


def test_credential_provider_that_fails_is_tried_again(receiver: Receiver):
    """Where its token comes from may be down too, and it may raise anything."""

    class Failing(requests.Session):
        def send(self, *_: object, **__: object) -> NoReturn:
            raise KeyError("token")

    post = OtlpHttp(Target.from_sdk(), Failing())
    assert post(BODY, 10.0) == Answer(Verdict.AGAIN, "KeyError")
