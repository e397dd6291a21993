"""Real certificates for one test, good for this machine only."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.services import HOST, ServiceMissing, missing, program


class Certificate(NamedTuple):
    """Certificate and key; signed by itself, so the certificate is its own authority."""

    cert: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """Return a new certificate for the loopback."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    try:
        openssl = program("openssl")
    except ServiceMissing as why:
        missing(str(why))
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=otelcol-celery test"]
    command += ["-addext", f"subjectAltName=IP:{HOST},DNS:localhost"]
    command += ["-keyout", str(made.key), "-out", str(made.cert)]
    subprocess.run(command, check=True, capture_output=True)
    return made
