"""What do the `OTEL_*` variables ask for?

They are read by the SDK's own classes; by name here only where those offer no public way.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from opentelemetry.environment_variables import (
    OTEL_LOGS_EXPORTER,
    OTEL_METRICS_EXPORTER,
    OTEL_TRACES_EXPORTER,
)
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_LOGS_HEADERS,
    OTEL_EXPORTER_OTLP_LOGS_PROTOCOL,
    OTEL_EXPORTER_OTLP_METRICS_HEADERS,
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_SDK_DISABLED,
    OTEL_TRACES_SAMPLER,
    OTEL_TRACES_SAMPLER_ARG,
)
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.util.re import parse_env_headers

from otel_celery import __version__
from otel_celery.errors import ConfigError, MissingExtra
from otel_celery.lanes.otlp_http import discreet, open_session
from otel_celery.otlp import Limits
from otel_celery.redaction import redacted_copy

TRACES, METRICS, LOGS = "traces", "metrics", "logs"
OTLP_HTTP, OTLP_GRPC = "otlp_proto_http", "otlp_proto_grpc"

_EXPORTER_VARIABLE = {
    TRACES: OTEL_TRACES_EXPORTER,
    METRICS: OTEL_METRICS_EXPORTER,
    LOGS: OTEL_LOGS_EXPORTER,
}
_UNSET = {TRACES: "otlp", METRICS: "otlp", LOGS: "none"}  # logs may hold anything: only if asked
_PROTOCOL_VARIABLE = {
    TRACES: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    METRICS: OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    LOGS: OTEL_EXPORTER_OTLP_LOGS_PROTOCOL,
}
_HEADERS = (
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    OTEL_EXPORTER_OTLP_METRICS_HEADERS,
    OTEL_EXPORTER_OTLP_LOGS_HEADERS,
)
_PROTOCOLS = {"http/protobuf": OTLP_HTTP, "grpc": OTLP_GRPC}
_EXTRAS = {OTLP_GRPC: "grpc", "prometheus": "prometheus"}


def sdk_disabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether OTEL_SDK_DISABLED forbids all telemetry."""
    return environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true"


def build_resource(instance_id: str, service_name: str, **attributes: str) -> Resource:
    """Return who speaks.

    OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win, but for service.instance.id: one that is
    given there is the same for all processes of a container, so it becomes a prefix of ours.

    Args:
        instance_id: unique among all processes of the service.
        service_name: used where the variables give none.
        attributes: further ones by their names, as `**{"host.name": ...}`.
    """
    given = dict(OTELResourceDetector().detect().attributes)
    prefix = given.pop(SERVICE_INSTANCE_ID, None)
    ours: dict[str, Any] = {
        SERVICE_NAME: service_name,
        "telemetry.distro.name": "otel-celery",
        "telemetry.distro.version": __version__,
        **attributes,
    }
    instance = {SERVICE_INSTANCE_ID: f"{prefix}/{instance_id}" if prefix else instance_id}
    # create() lets its argument win over the environment, hence the second merge.
    made = Resource.create({**ours, **instance}).merge(Resource(given))
    # A detector may have read the command line, where `-b` names the broker with its password.
    return Resource(redacted_copy(dict(made.attributes)), made.schema_url)


def build_sampler(environ: Mapping[str, str] = os.environ) -> Sampler:
    """Return the sampler that OTEL_TRACES_SAMPLER names, parentbased_always_on unless set.

    The SDK's own names are left to it, with its warnings; any other is looked up among the entry
    points, as its auto-configuration does.

    Raises:
        ConfigError: an entry point that makes something else.
    """
    sdk_choice = TracerProvider(resource=Resource.get_empty(), shutdown_on_exit=False).sampler
    name = environ.get(OTEL_TRACES_SAMPLER, "").strip()
    for found in entry_points(group="opentelemetry_traces_sampler", name=name):
        if found.value.startswith("opentelemetry.sdk."):
            break
        sampler = found.load()(environ.get(OTEL_TRACES_SAMPLER_ARG, ""))
        if not isinstance(sampler, Sampler):
            raise ConfigError(f"{OTEL_TRACES_SAMPLER}={name!r}: expected the name of a sampler")
        return sampler
    return sdk_choice


def span_limits() -> Limits:
    """Return the limits of one span as the SDK reads them.

    Raises:
        ConfigError: one of the variables is no number.
    """
    try:
        sdk = SpanLimits()
    except ValueError as why:
        raise ConfigError(str(why)) from why
    return Limits(**{field: getattr(sdk, field) for field in Limits._fields})


def exporter_names(signal: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the exporters of a signal as entry point names, `otlp` spelled with its protocol.

    Defaults are the specification's, `otlp` and `http/protobuf`; logs are exported if asked for.

    Raises:
        ConfigError: an unknown protocol.
    """
    text = environ.get(_EXPORTER_VARIABLE[signal], "").strip() or _UNSET[signal]
    names = [name.strip() for name in text.split(",") if name.strip()]
    if sdk_disabled(environ) or [name.lower() for name in names] == ["none"]:
        return []
    variable = _PROTOCOL_VARIABLE[signal]
    if not environ.get(variable):
        variable = OTEL_EXPORTER_OTLP_PROTOCOL
    protocol = environ.get(variable, "").strip() or "http/protobuf"
    if "otlp" in names and protocol not in _PROTOCOLS:
        raise ConfigError(f"{variable}={protocol!r}: expected one of {', '.join(_PROTOCOLS)}")
    # A name given twice would send everything twice.
    return list(dict.fromkeys(_PROTOCOLS[protocol] if n == "otlp" else n for n in names))


def load_exporter(signal: str, name: str) -> Callable[..., Any]:
    """Return what makes an exporter of this name.

    Raises:
        MissingExtra: one of ours, not installed; says how to install it.
        ConfigError: nobody offers one of this name.
    """
    try:
        made: Callable[..., Any] = _find_exporter(signal, name).load()
    except ImportError as why:
        raise MissingExtra(f"{_EXPORTER_VARIABLE[signal]}={name!r}: {why}") from why
    if name != OTLP_HTTP:
        return made

    def make(**given: Any) -> Any:
        if "session" not in given:
            given["session"] = discreet(open_session(signal.upper()))
        return made(**given)

    return make


def check_headers(environ: Mapping[str, str] = os.environ) -> None:
    """Read the headers for OTLP as the SDK will, which logs what it cannot read.

    Raises:
        ConfigError: one of them cannot be read; says which variable, and not what it holds.
    """
    unread: list[logging.LogRecord] = []
    reader = logging.getLogger(parse_env_headers.__module__)

    def note(record: logging.LogRecord) -> bool:
        unread.append(record)
        return False

    reader.addFilter(note)
    try:
        bad = []
        for variable in _HEADERS:
            parse_env_headers(environ.get(variable, ""), liberal=True)
            if unread:
                bad.append(f"{variable}: expected name=value, URL encoded, several by commas")
                unread.clear()
    finally:
        reader.removeFilter(note)
    if bad:
        raise ConfigError("; ".join(bad))


def _find_exporter(signal: str, name: str) -> EntryPoint:
    """Return where an exporter's class is, without importing it.

    Raises:
        MissingExtra: one of ours, not installed; says how to install it.
        ConfigError: nobody offers one of this name.
    """
    for found in entry_points(group=f"opentelemetry_{signal}_exporter", name=name):
        return found
    if extra := _EXTRAS.get(name):
        raise MissingExtra(
            f"{_EXPORTER_VARIABLE[signal]} asks for {name!r}: pip install 'otel-celery[{extra}]'"
        )
    raise ConfigError(
        f"{_EXPORTER_VARIABLE[signal]}={name!r}: expected otlp, console, none"
        " or the name of an installed exporter"
    )
