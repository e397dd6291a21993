"""What do strangers learn, and what can they bring about?"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_celery.sdk import build_span_lane
from otel_celery.span import FinishedSpan
from tests.collector.certificates import LOOPBACK, certificate
from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import CONTRIB, OURS
from tests.receiver import Receiver, receiving
from tests.waiting import eventually
from tests.worker import harness

HERE = Path(__file__).parent
PREFORK = ("-P", "prefork", "-c", "2")
SOLO = ("-P", "solo")


@pytest.mark.long
@pytest.mark.fault("secrets-asked-for")
def test_what_was_asked_for_is_redacted_and_cut(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured
) -> None:
    secret = f"pw-{secrets.token_hex(8)}"
    environ = sides.environment(OURS, redis_url, receiver, OTEL_CELERY_CAPTURE="args,result")
    given = f"redis://me:{secret}@host/0", "x" * 100_000, f"amqp://u:{secret}{'y' * 100_000}@host"
    for each in given:
        sides.send(environ, "echo", 1, each)
    with sides.worker(tmp_path, environ, *SOLO) as worker:
        sides.drained(redis_url)
        assert worker.stop() == 0
    spans = [one.attributes for (one,) in harness.deliveries(harness.spans(receiver)).values()]
    texts = [str(span[key]) for span in spans for key in ("celery.task.args", "celery.task.result")]
    assert len(texts) == 2 * len(given)
    leaks = sum(secret in text for text in texts)
    measured("texts with a password, of 6", OURS, leaks)
    measured("characters of the longest", OURS, max(map(len, texts)))
    assert leaks == 0
    assert max(map(len, texts)) <= 1024
    assert "redis://***@host/0" in texts[0]


@pytest.mark.fault("strangers-on-the-relay")
def test_nobody_from_outside_is_heard(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured
) -> None:
    """Not another process of the same user, and of another user none even gets there."""
    relays = tmp_path / "relays"
    relays.mkdir()
    relays.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # so that what keeps another user out is ours
    environ = sides.environment(OURS, redis_url, receiver, TMPDIR=str(relays))
    tasks, attacks = 20, 0
    with sides.worker(tmp_path, environ, *PREFORK) as worker:
        (relay,) = relays.glob("otel-celery-*/relay")
        mode = oct(relay.parent.stat().st_mode & 0o777)
        others = outsider(relay) if os.getuid() == 0 else "not tried: needs root"
        for garbage in garbages():
            for _ in range(10):
                attacks += shouted(relay, garbage)
        sides.send(environ, "inner", tasks)
        sides.drained(redis_url)
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(50)]
        for one in silent:
            one.connect(str(relay))
        sides.send(environ, "inner", tasks)
        sides.drained(redis_url)
        eventually(
            lambda: (
                harness.total(receiver, "celery.task.outcomes") == 2 * tasks
                and harness.total(receiver, "otel_celery.relay.dropped") == attacks
            )
        )
        for one in silent:
            one.close()
        assert worker.stop() == 0
    seen = harness.spans(receiver)
    inner = sum(one.span.name == "inner" for one in seen)
    measured("mode of the directory", OURS, mode)
    measured("another user", OURS, others)
    measured("connections with garbage or forged records", OURS, attacks)
    measured("of these counted as refused", OURS, attacks)
    measured("forged spans exported", OURS, sum("forged" in one.span.name for one in seen))
    measured("child spans of tasks that arrived", OURS, f"{inner} of {2 * tasks}")
    assert mode == "0o700"
    assert others in ("PermissionError", "not tried: needs root")
    assert {one.span.name for one in seen} == {"publish inner", "process inner", "inner"}
    assert inner == 2 * tasks
    assert harness.points(receiver, "otel_celery.faults") == []
    assert "fault in" not in worker.log


def garbages() -> list[bytes]:
    """Return first words of strangers: forged records, garbage, and far too much of it."""
    head = struct.Struct("<4sBI")
    span = Span(name="forged", trace_id=b"\xab" * 16, span_id=b"\xcd" * 8)
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.append(span)
    forged = struct.pack("<I", 1) + request.SerializeToString()
    return [
        head.pack(b"otc1", 1, 0) + forged,
        head.pack(b"otc1", 4, 1 << 31) + b'{"forged": 1000000}',
        head.pack(b"otc1", 0, 0) + b"0" * 32,
        secrets.token_bytes(1000),
        b"x" * 150_000,
    ]


def shouted(relay: Path, garbage: bytes) -> int:
    """Connect, say something a few times, and leave; 1: it was let in."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
        end.connect(str(relay))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(3):
                end.send(garbage)
    return 1


def outsider(relay: Path) -> str:
    """Return what becomes of another user who connects."""
    tries = (
        "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\n"
        "try: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(sys.argv[1])\n"
        "except OSError as why: print(type(why).__name__)\nelse: print('connected')"
    )
    command = [sys.executable, "-c", tries, str(relay)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Server(NamedTuple):
    """How a Collector with TLS is set up, and what it is promised to get."""

    of: str = LOOPBACK
    known: bool = True  # the client knows who signed the certificate
    asks: bool = False  # for a certificate of the client's
    shows: bool = False  # the client has one
    arrives: bool = True


SERVERS = {
    "good": Server(),
    "unknown authority": Server(known=False, arrives=False),
    "wrong host name": Server(of="DNS:elsewhere.test", arrives=False),
    "client certificate": Server(asks=True, shows=True),
    "no client certificate": Server(asks=True, arrives=False),
}


def tls(folder: Path, server: Server) -> tuple[ssl.SSLContext, dict[str, str]]:
    """Return how the server speaks, and the variables of its client."""
    authority = certificate(folder, "ca-", of="DNS:authority.test")
    own = certificate(folder, "server-", of=server.of, by=authority)
    client = certificate(folder, "client-", of="DNS:worker.test", by=authority)
    stranger = certificate(folder, "other-")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)
    if server.asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.cert)
    known = authority if server.known else stranger
    variables = {"CERTIFICATE": known.cert}
    if server.shows:
        variables |= {"CLIENT_CERTIFICATE": client.cert, "CLIENT_KEY": client.key}
    return context, {f"OTEL_EXPORTER_OTLP_{name}": str(to) for name, to in variables.items()}


@pytest.mark.long
class Way(NamedTuple):
    """How one side exports: gets a span, tries to send it, and says how many still wait."""

    put: Callable[[], None]
    waiting: Callable[[], int]


def ours() -> Way:
    lane = build_span_lane(Resource({"service.name": "shop"}))
    lane.put(FinishedSpan("s", 1, 1, 1, 0, 1, 2, {}))
    return Way(lambda: lane.export(time.monotonic() + 20), lambda: lane.counts().waiting)


def contribs() -> Way:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    return Way(provider.get_tracer("t").start_span("s").end, lambda: 0)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.fault("tls")
def test_without_a_trusted_server_nothing_is_said(
    tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, name: str,
) -> None:  # fmt: skip
    """By our exporter and by the SDK's, which contrib's spans take."""
    server = SERVERS[name]
    context, variables = tls(tmp_path, server)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    for side, build in ((OURS, ours), (CONTRIB, contribs)):
        caplog.clear()
        with receiving(tls=context) as secured:
            variables["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{secured.url}/v1/traces"
            variables["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] = "authorization=Bearer%20t0ken"
            variables["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"] = "1"
            for variable, value in variables.items():
                monkeypatch.setenv(variable, value)
            way = build()
            for _ in range(3 if side == OURS else 1):
                way.put()
            said = [each for each in caplog.messages if "spans" in each.lower()]
            shown = {one.headers["authorization"] for one in secured.received}
            measured(f"spans that arrived of 1: {name}", side, len(secured.spans))
            measured(f"lines of log that say why not: {name}", side, len(said))
            assert set(secured.first_bytes) == {b"\x16"}, "never in plain text"
            assert shown == ({"Bearer t0ken"} if server.arrives else set())
            if side == OURS:
                assert len(secured.spans) == server.arrives
                assert way.waiting() == (not server.arrives)
                assert len(said) == (not server.arrives)
                assert "t0ken" not in caplog.text
