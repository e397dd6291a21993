"""What does one record look like, and what kind of socket carries it?"""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

MAX_RECORD = 1 << 20
SEQPACKET: bool = hasattr(socket, "SOCK_SEQPACKET") and os.uname().sysname != "Darwin"
BUFFER = 1 << 20
HEAD = struct.Struct("<4sBI")  # magic, kind, records dropped since the last one
LENGTH = struct.Struct("<I")  # before each record of a stream
MAGIC = b"otc1"
_SECRET = 0  # kind of the record that shows it


class Record(NamedTuple):
    """One record as it arrived."""

    kind: int
    dropped: int
    payload: bytes
    pid: int


def new_socket() -> socket.socket:
    """Return a socket that keeps records whole, where there is such a thing."""
    kind = socket.SOCK_SEQPACKET if SEQPACKET else socket.SOCK_STREAM
    return socket.socket(socket.AF_UNIX, kind)


def framed(record: bytes) -> bytes:
    """Return a record as it is sent: in a stream it says its length."""
    return record if SEQPACKET else LENGTH.pack(len(record)) + record


def greeting(secret: str) -> bytes:
    """Return the first record of a connection."""
    return HEAD.pack(MAGIC, _SECRET, 0) + secret.encode()


def address(path: str) -> str:
    """Return what to bind or connect to: a path, or a Linux name without file (`@...`)."""
    return "\0" + path[1:] if path.startswith("@") else path
