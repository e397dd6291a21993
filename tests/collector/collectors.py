"""Collectors that run with the project's own configuration, and what is sent to them."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen, run

import requests
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.receiver import Receiver
from tests.services import HOST, free_port, running
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2] / "collector"
BASE = ROOT / "collector.yaml"
OVERLAYS = ROOT / "overlays"
SINGLE = "--feature-gates=-connector.spanmetrics.includeCollectorInstanceID"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
PORTS = (
    "OTLP_GRPC_PORT",
    "OTLP_HTTP_PORT",
    "OTELCOL_METRICS_PORT",
    "OTELCOL_TELEMETRY_PORT",
    "OTELCOL_HEALTH_PORT",
)
QUICK = {"TAIL_DECISION_WAIT": "1s", "SPAN_METRICS_FLUSH": "500ms"}


class Collector:
    """One Collector: its ports, its folder, its overlays. It may be started again and again.

    Args:
        binary: the Collector.
        folder: of its queues and its log.
        overlays: names of files in `collector/overlays`, in their order.
        environ: variables of the configuration; ports are chosen unless given.
    """

    def __init__(
        self,
        binary: Path,
        folder: Path,
        overlays: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.binary = binary
        self.log = folder / "collector.log"
        self.configs = [BASE, *(OVERLAYS / f"{name}.yaml" for name in overlays)]
        self.environ = {
            **{port: str(free_port()) for port in PORTS},
            "OTELCOL_STORAGE_DIR": str(folder / "storage"),
            **QUICK,
            **(environ or {}),
        }
        self.session = requests.Session()
        self.session.trust_env = False

    @property
    def otlp(self) -> str:
        return f"http://{HOST}:{self.environ['OTLP_HTTP_PORT']}"

    def command(self, *first: str) -> list[str]:
        configs = [f"--config={path}" for path in self.configs]
        return [str(self.binary), *first, SINGLE, *configs]

    def variables(self) -> dict[str, str]:
        return {**os.environ, **self.environ}

    def validate(self) -> str:
        """Return what `validate` says; nothing is well."""
        told = run(self.command("validate"), env=self.variables(), capture_output=True, text=True)
        return told.stdout + told.stderr

    @contextmanager
    def running(self) -> Iterator[Popen[bytes]]:
        """Run it for the length of a block."""
        with running(self.command(), self.log, self.variables(), grace=15.0) as process:

            def ready() -> None:
                if process.poll() is not None:
                    raise RuntimeError(self.log.read_text()[-3000:])
                try:
                    answer = self.session.get(
                        f"http://{HOST}:{self.environ['OTELCOL_HEALTH_PORT']}", timeout=2
                    )
                except requests.ConnectionError as refused:
                    raise AssertionError("not up yet") from refused
                assert answer.status_code == 200

            eventually(ready, 60)
            yield process

    def post(self, path: str, message: Message, **headers: str) -> requests.Response:
        return self.session.post(
            f"{self.otlp}/v1/{path}",
            message.SerializeToString(),
            headers=PROTOBUF | headers,
            timeout=30,
        )

    def send(self, *spans: Span, service: str = "shop-worker", **resource: str) -> None:
        """Send spans of one service as one request, and insist on its being accepted."""
        answer = self.post("traces", traces(spans, {"service.name": service, **resource}))
        assert answer.status_code == 200, answer.text

    def scraped(self, port: str = "OTELCOL_METRICS_PORT") -> dict[str, float]:
        """Return each series of a scrape, by its name with labels."""
        text = self.session.get(f"http://{HOST}:{self.environ[port]}/metrics", timeout=5).text
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in rows}


def traces(spans: Sequence[Span], resource: Mapping[str, str]) -> ExportTraceServiceRequest:
    """Return a request with the spans of one process."""
    request = ExportTraceServiceRequest()
    by_resource = request.resource_spans.add()
    by_resource.resource.attributes.extend(attributes(resource))
    by_resource.scope_spans.add().spans.extend(spans)
    return request


def attributes(values: Mapping[str, object]) -> list[KeyValue]:
    """Return attributes as OTLP has them."""
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=map(_value, value)))
    return AnyValue(string_value=str(value))


def read(span: Span) -> dict[str, object]:
    """Return a span's attributes as plain values."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes
    }


def publish(task: str = "shop.pay", trace_id: bytes = b"", **values: object) -> Span:
    """Return a publish span that has just ended; a trace of its own unless told."""
    return _span(f"publish {task}", Span.SPAN_KIND_PRODUCER, trace_id, 0.001, task, values)


def process(
    task: str = "shop.pay",
    trace_id: bytes = b"",
    *,
    parent: Span | None = None,
    seconds: float = 0.01,
    error: str = "",
    **values: object,
) -> Span:
    """Return a process span that has just ended."""
    trace_id = parent.trace_id if parent else trace_id
    span = _span(f"process {task}", Span.SPAN_KIND_CONSUMER, trace_id, seconds, task, values)
    if parent:
        span.parent_span_id = parent.span_id
    if error:
        span.status.code = Status.STATUS_CODE_ERROR
        span.status.message = error
    return span


def _span(
    name: str, kind: int, trace_id: bytes, seconds: float, task: str, values: Mapping[str, object]
) -> Span:
    now = time.time_ns()
    given = {key.replace("__", "."): value for key, value in values.items()}
    span = Span(
        trace_id=trace_id or secrets.token_bytes(16),
        span_id=secrets.token_bytes(8),
        name=name,
        kind=kind,  # type: ignore[arg-type]
        start_time_unix_nano=now - int(seconds * 1e9),
        end_time_unix_nano=now,
    )
    known = {
        "messaging.system": "redis",
        "messaging.destination.name": "celery",
        "celery.task.name": task,
    }
    span.attributes.extend(attributes(known | given))
    return span


def by_trace(spans: Iterable[Span]) -> dict[bytes, set[bytes]]:
    """Return the ids of spans by the id of their trace."""
    found: dict[bytes, set[bytes]] = {}
    for span in spans:
        found.setdefault(span.trace_id, set()).add(span.span_id)
    return found


def sent_to_loki(backend: Receiver) -> list[LogRecord]:
    """Return the log records that came to Loki's own address."""
    return [
        record
        for request in list(backend.received)
        if request.path == "/otlp/v1/logs"
        for by_resource in ExportLogsServiceRequest.FromString(request.body).resource_logs
        for by_scope in by_resource.scope_logs
        for record in by_scope.log_records
    ]
