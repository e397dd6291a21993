"""Receives OTLP/HTTP as a program of its own: `python sink.py PORT FILE`; it may be killed.

What comes is in the file before it is answered, and a later one appends to it.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.receiver import Received, Receiver

_HEAD = struct.Struct("<cI")
_KINDS = {b"t": ExportTraceServiceRequest, b"m": ExportMetricsServiceRequest}


class _File(list[Received]):
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, received: Received) -> None:
        kind = received.path.rpartition("/")[2][:1].encode()
        os.write(self._file, _HEAD.pack(kind, len(received.body)) + received.body)


class Kept:
    """What all of them received, with the names of a `Receiver`; a retried batch stands twice."""

    def __init__(self, path: Path) -> None:
        self._read: dict[bytes, list[Any]] = {kind: [] for kind in _KINDS}
        data = path.read_bytes()
        at = 0
        while at < len(data):
            kind, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            if kind in _KINDS:
                self._read[kind].append(_KINDS[kind].FromString(data[at : at + length]))
            at += length

    @property
    def traces(self) -> list[ExportTraceServiceRequest]:
        return self._read[b"t"]

    @property
    def metrics(self) -> list[ExportMetricsServiceRequest]:
        return self._read[b"m"]


if __name__ == "__main__":
    receiver = Receiver(int(sys.argv[1]))
    receiver.received = _File(sys.argv[2])
    signal.pause()
