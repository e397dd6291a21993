"""Beyond loopback: only who shows the token may write, and nobody else reads along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from tests.collector.certificates import Certificate, certificate
from tests.collector.collectors import PROTOBUF, Collector, process, traces
from tests.receiver import Receiver
from tests.services import HOST
from tests.waiting import eventually

pytestmark = pytest.mark.stack


@pytest.fixture
def made(tmp_path: Path) -> Certificate:
    return certificate(tmp_path)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("t0k3n\n")
    return path


@pytest.fixture
def guarded(
    otelcol: Path, tmp_path: Path, made: Certificate, tokens: Path, backend: Receiver
) -> Iterator[Collector]:
    environ = {
        "TRACES_ENDPOINT": backend.url,
        "OTLP_TLS_CERT": str(made.cert),
        "OTLP_TLS_KEY": str(made.key),
        "OTLP_TOKEN_FILE": str(tokens),
    }
    collector = Collector(otelcol, tmp_path, ["tls"], environ)
    with collector.running():
        yield collector


def post(collector: Collector, made: Certificate, token: str) -> int:
    headers = PROTOBUF | ({"Authorization": token} if token else {})
    body = traces([process()], {"service.name": "shop"}).SerializeToString()
    url = collector.otlp.replace("http://", "https://") + "/v1/traces"
    return requests.post(url, body, headers=headers, verify=str(made.cert), timeout=30).status_code


@pytest.mark.parametrize(
    ("token", "status"),
    [("Bearer t0k3n", 200), ("Bearer wrong", 401), ("t0k3n", 401), ("", 401)],
    ids=["right", "wrong", "not-a-bearer", "none"],
)
def test_only_the_token_opens(guarded: Collector, made: Certificate, token: str, status: int):
    assert post(guarded, made, token) == status


def test_without_tls_nobody_is_heard(guarded: Collector):
    answer = guarded.post("traces", traces([process()], {}), Authorization="Bearer t0k3n")
    assert answer.status_code == 400
    assert "HTTPS" in answer.text


def test_who_does_not_know_the_certificate_sends_nothing(guarded: Collector):
    url = guarded.otlp.replace("http://", "https://")
    with pytest.raises(requests.exceptions.SSLError):
        requests.post(f"{url}/v1/traces", b"", timeout=30)


def test_a_new_token_counts_without_a_restart(guarded: Collector, made: Certificate, tokens: Path):
    tokens.write_text("t0k3n\nnext\n")
    eventually(lambda: post(guarded, made, "Bearer next") == 200, 30)
    assert post(guarded, made, "Bearer t0k3n") == 200
    tokens.write_text("next\n")
    eventually(lambda: post(guarded, made, "Bearer t0k3n") == 401, 30)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_sdk_gets_in_by_its_own_variables(
    guarded: Collector,
    made: Certificate,
    backend: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
):
    # Where they are set, `requests` takes them instead of the exporter's certificate.
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    port = guarded.environ[f"OTLP_{protocol.upper()}_PORT"]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"https://{HOST}:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(made.cert))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t0k3n")
    exporter: SpanExporter = Http() if protocol == "http" else Grpc()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("through"):
        pass
    provider.shutdown()
    eventually(lambda: [span.name for span in backend.spans] == ["through"], 30)


def test_grpc_with_a_wrong_token_is_refused(guarded: Collector, made: Certificate):
    credentials = grpc.ssl_channel_credentials(made.cert.read_bytes())
    target = f"{HOST}:{guarded.environ['OTLP_GRPC_PORT']}"
    with grpc.secure_channel(target, credentials) as channel:
        export = TraceServiceStub(channel).Export  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as refused:
            export(
                traces([process()], {}),
                metadata=[("authorization", "Bearer wrong")],
                timeout=30,
            )
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
