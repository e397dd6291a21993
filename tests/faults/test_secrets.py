"""What do strangers learn, and what can they bring about?"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from celery import Celery
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_celery.sdk import build_span_lane
from otel_celery.span import FinishedSpan
from tests import sentry_receiver
from tests.collector.certificates import LOOPBACK, certificate
from tests.faults import sides
from tests.faults.forged import TRACE
from tests.faults.results import Measured
from tests.faults.sides import ALONE, CONTRIB, OURS, Side
from tests.receiver import Answer, Receiver, receiving
from tests.waiting import eventually
from tests.worker import harness

HERE = Path(__file__).parent
PREFORK = ("-P", "prefork", "-c", "2")
SOLO = ("-P", "solo")
PLACES = (
    "argument", "keyword", "result", "exception", "header",
    "broker", "failover", "backend", "environment", "headers", "endpoint",
)  # fmt: skip
SENT = 3
BREAKABLE = (
    "published,started,ended,settled,executed,consumer,strategies,heartbeat,headers,"
    "log records,user span,worker_process_init"
)


class Told(NamedTuple):
    """What one side told in the end, to anybody."""

    receiver: Receiver
    sentry: Receiver
    exported: list[bytes]
    log: str
    beat: str


def canaries() -> dict[str, str]:
    """Return a secret for each place, which no word contains by chance."""
    return {place: f"{place}-{secrets.token_hex(8)}" for place in PLACES}


def found(canaries: Mapping[str, str], *texts: bytes) -> list[str]:
    """Return the places whose secret is in one of these texts."""
    return [place for place, secret in canaries.items() if any(secret.encode() in t for t in texts)]


def lines(canaries: Mapping[str, str], log: str) -> dict[str, int]:
    """Return how often the secret of each place is in a log, where it is at all."""
    return {place: log.count(secret) for place, secret in canaries.items() if secret in log}


def secret_environment(
    side: Side, url: str, receiver: Receiver, secret: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Return variables that are full of secrets.

    The broker takes every password of its default user, and the second broker is never needed.
    """
    port = url.rpartition(":")[2].partition("/")[0]
    return sides.environment(
        side,
        url,
        receiver,
        CANARIES=json.dumps(dict(secret)),
        CASES_BROKER=f"redis://:{secret['broker']}@127.0.0.1:{port}/0;"
        f"redis://:{secret['failover']}@127.0.0.1:1/0",
        CASES_BACKEND=f"redis://:{secret['backend']}@127.0.0.1:{port}/1",
        SHOP_TOKEN=secret["environment"],
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url.replace("://", f"://me:{secret['endpoint']}@"),
        OTEL_EXPORTER_OTLP_HEADERS=f"x-api-key={secret['headers']}",
        OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="process",
        OTEL_LOGS_EXPORTER="otlp",
        BROKEN_NOTES=str(folder / "broken"),
    )


@contextmanager
def tolerant(folder: Path) -> Iterator[str]:
    """Run a Redis whose default user may have any password."""
    acl = ("--user", "default", "on", "nopass", "~*", "&*", "+@all")
    with harness.broker(folder, *acl) as url:
        yield url


def beating(environ: Mapping[str, str], folder: Path) -> str:
    """Run beat for two entries and return its log."""
    log = folder / "beat.log"
    command = [sys.executable, "-m", "celery", "-A", "secret_app", "beat", "-l", "INFO"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "-s", str(folder / "schedule")],
            cwd=HERE, env=dict(environ), stdout=out, stderr=out,
        )  # fmt: skip
    try:
        eventually(lambda: log.read_text().count("Sending due task") >= 2)
    finally:
        process.terminate()
        process.wait(60)
    return log.read_text()


def watched(side: Side, folder: Path, secret: Mapping[str, str]) -> Told:
    """Have one side watch a worker, a publisher and beat, whose data is secret."""
    folder.mkdir()
    with tolerant(folder) as url, receiving() as receiver, receiving() as sentry:
        environ = secret_environment(side, url, receiver, secret, folder)
        if side == OURS:
            # All that makes us log: hooks of ours that raise, and a Collector that refuses.
            environ |= {"SENTRY_DSN": sentry_receiver.dsn(sentry), "BREAK": f"late {BREAKABLE}"}
            receiver.answers.extend([*[Answer(503)] * 30, Answer(400)])
        with sides.worker(folder, environ, *PREFORK, app="secret_app") as worker:
            printed = harness.run(environ, str(HERE / "secret_app.py"))
            with Celery(broker=url, backend=f"{url[:-1]}1", set_as_current=False) as client:
                for id_ in json.loads(printed.splitlines()[-1]):
                    client.AsyncResult(id_).get(timeout=60, propagate=False)
            beat = beating(environ, folder)
            assert worker.stop() == 0
    exported = [one.path.encode() + one.body for one in receiver.received]
    events = [one.body for one in sentry_receiver.envelopes(sentry)]
    return Told(receiver, sentry, [*exported, *events], worker.log, beat)


@pytest.mark.long
@pytest.mark.fault("secrets-everywhere")
def test_no_secret_leaves(tmp_path: Path, measured: Measured) -> None:
    """What Celery itself logs is Celery's; nothing of ours, or because of us, comes on top."""
    secret = canaries()
    told = {side: watched(side, tmp_path / side, secret) for side in (ALONE, OURS, CONTRIB)}
    logs = {side: lines(secret, one.log + one.beat) for side, one in told.items()}
    for side, one in told.items():
        if side != ALONE:
            measured("secrets exported", side, ", ".join(found(secret, *one.exported)) or "none")
        measured("secrets in logs of worker and beat", side, sum(logs[side].values()))
    ours = told[OURS]
    assert logs[ALONE], "Celery logs results and exceptions"
    assert logs[OURS] == logs[ALONE]
    assert found(secret, *ours.exported) == []
    assert "fault in" in ours.log
    assert "do not get through" in ours.log
    assert {one.headers.get("x-api-key") for one in ours.receiver.received} == {secret["headers"]}
    assert ours.receiver.logs
    assert sentry_receiver.events(ours.sentry)
    assert len(harness.deliveries(harness.spans(ours.receiver))) > SENT


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


def forged(url: str, number: int) -> None:
    """Send messages that all claim to belong to one sampled trace."""
    harness.run(
        {**os.environ, "CASES_BROKER": url, "PYTHONPATH": str(HERE.parents[1])},
        str(HERE / "forged.py"), str(number),
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("side", "structure"),
    [(OURS, "parent"), (OURS, "link"), (OURS, "ignore"), (CONTRIB, "")],
)
@pytest.mark.fault("forged-context")
def test_a_forged_context_decides_nothing_where_it_is_not_trusted(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side,
    structure: str,
) -> None:  # fmt: skip
    number = 500
    environ = sides.environment(
        side, redis_url, receiver,
        OTEL_CELERY_TRACE_STRUCTURE=structure,
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.1",
    )  # fmt: skip
    forged(redis_url, number)
    with sides.worker(tmp_path, environ, *SOLO) as worker:
        sides.drained(redis_url)
        assert worker.stop() == 0
    process = [one for one in harness.spans(receiver) if one.span.kind == harness.CONSUMER]
    inside = sum(one.trace == TRACE for one in process)
    how = f" ({structure})" if structure else ""
    measured(f"spans kept of {number}, sampler at 10 %{how}", side, len(process))
    measured(f"of these in the forged trace{how}", side, inside)
    if side == OURS:
        assert harness.total(receiver, "celery.task.outcomes") == number
        if structure == "parent":
            assert (len(process), inside) == (number, number)
        else:
            assert inside == 0
            assert 0 < len(process) < number / 4
            assert all(len(one.span.links) == (structure == "link") for one in process)


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
