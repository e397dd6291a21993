"""How did one attempt to hand bytes to an OTLP/HTTP endpoint go?"""

from __future__ import annotations

import gzip
import io
import math
import netrc  # noqa: F401 - requests does at its first request; a fork meanwhile waits for ever
import os
import time
import zlib
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from http.client import HTTPException
from importlib.metadata import entry_points
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_celery.errors import ConfigError
from otel_celery.redaction import redacted

CREDENTIALS = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER"
_TRANSIENT_STATUS = frozenset({429, 502, 503, 504})
_TRANSIENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_LONGEST_RETRY_AFTER = 300.0
_LONGEST_ANSWER = 16 << 10  # bytes: there may be a few words in it, and no end


class Verdict(Enum):
    """What to do with the bytes after an attempt."""

    DELIVERED = "delivered"
    AGAIN = "again"
    TOO_LARGE = "too_large"
    REFUSED = "refused"


class Answer(NamedTuple):
    """What became of one attempt. `reason` never holds a URL, header or body."""

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None  # seconds
    rejected: int = 0  # spans or log records, of a partial success


class Target(NamedTuple):
    """Where a signal goes and what goes with it."""

    url: str
    headers: Mapping[str, str]
    timeout: float
    verify: bool | str
    cert: str | tuple[str, str] | None

    @classmethod
    def from_sdk(
        cls,
        exporter: Callable[..., Any] = OTLPSpanExporter,
        signal: str = "TRACES",
        nothing: object = (),
    ) -> Target:
        """Return what the installed SDK's exporter makes of the `OTEL_EXPORTER_OTLP_*` variables.

        It is asked to send nothing through a session that only listens. So each variable that it
        honours is honoured here, in its version and with its precedence, by public names alone.

        Args:
            exporter: makes it.
            signal: as in the names of its variables.
            nothing: what it takes for an empty batch.

        Raises:
            ConfigError: it would send nothing, as to an endpoint without `http://`.
        """
        ear = _Ear()
        exporter(session=ear).export(nothing)
        if ear.heard is None or urlsplit(ear.heard.url).scheme not in ("http", "https"):
            raise ConfigError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_{signal}_ENDPOINT:"
                " expected a URL such as http://localhost:4318"
            )
        return ear.heard

    @property
    def shown(self) -> str:
        """The endpoint without what may be secret."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"


class _Ear(requests.Session):
    """Notes the request it is to send and says that it arrived."""

    heard: Target | None = None

    def send(self, request: requests.PreparedRequest, **given: Any) -> requests.Response:
        headers = request.headers.copy()
        headers.pop("Content-Length", None)
        # The exporter hands on what its deadline has left: a few microseconds less than was set.
        timeout = round(given["timeout"], 2)
        # Requests lets REQUESTS_CA_BUNDLE win over what was set on a session: psf/requests#3829.
        verify: bool | str = given["verify"] if self.verify is True else self.verify or False
        self.heard = Target(str(request.url), headers, timeout, verify, given["cert"] or None)
        response = requests.Response()
        response.status_code = 200
        response.raw = io.BytesIO()
        return response


def open_session(
    signal: str = "TRACES", environ: Mapping[str, str] = os.environ
) -> requests.Session:
    """Return a session, made by the credential provider that the variables name, if one is.

    Raises:
        ConfigError: no such provider, or it makes something else.
    """
    own = CREDENTIALS.replace("CREDENTIAL", f"{signal}_CREDENTIAL")
    name = environ.get(CREDENTIALS) or environ.get(own) or ""
    if not name:
        return requests.Session()
    for found in entry_points(group="opentelemetry_otlp_credential_provider", name=name):
        session = found.load()()
        if isinstance(session, requests.Session):
            return session
    raise ConfigError(f"{CREDENTIALS}={name!r}: expected a provider of a requests.Session")


def discreet(session: requests.Session) -> requests.Session:
    """Have a session's errors, which the SDK's exporters log, say nothing that may be secret."""
    send = session.send

    def quietly(request: requests.PreparedRequest, **given: Any) -> requests.Response:
        try:
            return send(request, **given)
        except requests.RequestException as why:
            text, query = redacted(str(why)), urlsplit(str(request.url)).query
            if query:
                text = text.replace(f"?{query}", "?***")
            raise type(why)(text, request=why.request, response=why.response) from None

    session.send = quietly  # type: ignore[method-assign]
    return session


class OtlpHttp:
    """Posts requests over kept connections; one call is one attempt, and never raises."""

    def __init__(self, target: Target, session: requests.Session) -> None:
        self.target, self._session = target, session
        self._encoding = target.headers.get("Content-Encoding", "")

    @classmethod
    def from_env(
        cls,
        exporter: Callable[..., Any] = OTLPSpanExporter,
        signal: str = "TRACES",
        nothing: object = (),
    ) -> OtlpHttp:
        """Return what the SDK's own exporter would talk to, see `Target.from_sdk`."""
        return cls(Target.from_sdk(exporter, signal, nothing), open_session(signal))

    def __call__(self, body: bytes, timeout: float) -> Answer:
        """Send one request.

        Args:
            body: the request, not compressed.
            timeout: most seconds without a sign of the other side; the target's may be shorter.
        """
        if self._encoding == "gzip":
            body = gzip.compress(body, 6)
        elif self._encoding == "deflate":
            body = zlib.compress(body)
        answer = self._attempt(body, timeout)
        if answer.reason == "ConnectionError":
            # A kept connection that the other side had closed looks like this.
            answer = self._attempt(body, timeout)
        return answer

    def close(self) -> None:
        self._session.close()

    def _attempt(self, body: bytes, timeout: float) -> Answer:
        most = min(timeout, self.target.timeout)
        try:
            response = self._session.post(
                self.target.url,
                data=body,
                headers=dict(self.target.headers),
                timeout=most,
                verify=self.target.verify,
                cert=self.target.cert,
                allow_redirects=False,
                stream=True,
            )
        except Exception as fault:  # noqa: BLE001 - somebody's credential provider is in there
            lasting = isinstance(fault, requests.RequestException) and not isinstance(
                fault, _TRANSIENT
            )
            return Answer(Verdict.REFUSED if lasting else Verdict.AGAIN, type(fault).__name__)
        # The status has decided: sent again for what comes after it, all would be there twice.
        with response:
            said = _read(response, time.monotonic() + most)
        status = response.status_code
        if 200 <= status < 300:
            return Answer(Verdict.DELIVERED, rejected=_rejected(response, said))
        reason = f"HTTP {status}"
        if status in _TRANSIENT_STATUS:
            return Answer(Verdict.AGAIN, reason, _retry_after(response, time.time()))
        return Answer(Verdict.TOO_LARGE if status == 413 else Verdict.REFUSED, reason)


def _read(response: requests.Response, deadline: float) -> bytes:
    """Return what is said besides the status, as far as it can be had, is short and comes soon."""
    said = bytearray()
    try:
        # One by one: reading waits for as many bytes as are asked for, and each may be late.
        for byte in response.iter_content(1):
            said += byte
            if len(said) >= _LONGEST_ANSWER or time.monotonic() >= deadline:
                break
    except (OSError, HTTPException, urllib3.exceptions.HTTPError):
        return b""
    return bytes(said)


def _rejected(response: requests.Response, said: bytes) -> int:
    # The answers for all signals have the same fields, under other names.
    if "protobuf" not in response.headers.get("Content-Type", ""):
        return 0
    try:
        told = ExportTraceServiceResponse.FromString(said)
    except DecodeError:
        return 0
    return max(0, told.partial_success.rejected_spans)


def _retry_after(response: requests.Response, now: float) -> float | None:
    """Return the seconds that the other side asks for, given as such or as a date (RFC 9110)."""
    text = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)
