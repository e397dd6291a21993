"""Real certificates for one test, good for this machine only."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.services import HOST, ServiceMissing, missing, program

LOOPBACK = f"IP:{HOST},DNS:localhost"


class Certificate(NamedTuple):
    """Certificate and key; one that is signed by itself is its own authority."""

    cert: Path
    key: Path


def certificate(
    folder: Path, name: str = "", of: str = LOOPBACK, by: Certificate | None = None
) -> Certificate:
    """Return a new certificate.

    Args:
        folder: where it goes.
        name: begins the names of its files.
        of: the hosts that it is for, as openssl has them.
        by: who signs it, if not itself.
    """
    made = Certificate(folder / f"{name}cert.pem", folder / f"{name}key.pem")
    try:
        openssl = program("openssl")
    except ServiceMissing as why:
        missing(str(why))
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=otelcol-celery test"]
    command += ["-addext", f"subjectAltName={of}"]
    if by is not None:
        command += ["-CA", str(by.cert), "-CAkey", str(by.key)]
    command += ["-keyout", str(made.key), "-out", str(made.cert)]
    subprocess.run(command, check=True, capture_output=True)
    return made
