"""What did Sentry's server get? It speaks HTTP, and so the OTLP receiver takes it."""

from __future__ import annotations

import json
from typing import Any

from tests.receiver import Received, Receiver

KEY = "0123456789abcdef0123456789abcdef"


def dsn(receiver: Receiver) -> str:
    """Return the address of a Sentry project there."""
    return f"{receiver.url.replace('://', f'://{KEY}@')}/1"


def envelopes(receiver: Receiver) -> list[Received]:
    """Return all requests of Sentry's protocol, in the order in which they came."""
    return [one for one in list(receiver.received) if one.path.endswith("/envelope/")]


def items(receiver: Receiver) -> list[tuple[str, Any]]:
    """Return type and payload of each item of each envelope."""
    return [found for one in envelopes(receiver) for found in _items(one.body)]


def events(receiver: Receiver) -> list[dict[str, Any]]:
    """Return all errors and messages, in the order in which they came."""
    return [payload for kind, payload in items(receiver) if kind == "event"]


def _items(body: bytes) -> list[tuple[str, Any]]:
    """Read an envelope: a header line, then for each item a header line and its payload."""
    found, rest = [], body.partition(b"\n")[2]
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        header = json.loads(line)
        length = header.get("length")
        payload = rest[:length] if length is not None else rest.partition(b"\n")[0]
        rest = rest[len(payload) :].removeprefix(b"\n")
        found.append((header["type"], json.loads(payload)))
    return found
