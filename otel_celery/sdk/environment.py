"""What do the `OTEL_*` variables ask for?

They are read by the SDK's own classes; by name here only where those offer no public way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from opentelemetry.environment_variables import (
    OTEL_LOGS_EXPORTER,
    OTEL_METRICS_EXPORTER,
    OTEL_TRACES_EXPORTER,
)
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_LOGS_PROTOCOL,
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    OTEL_EXPORTER_OTLP_PROTOCOL,
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

from otel_celery import __version__
from otel_celery.errors import ConfigError, MissingExtra
from otel_celery.otlp import Limits

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
    return Resource.create({**ours, **instance}).merge(Resource(given))


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


def load_exporter(signal: str, name: str) -> Any:
    """Return the class behind an exporter's name.

    Raises:
        MissingExtra: one of ours, not installed; says how to install it.
        ConfigError: nobody offers one of this name.
    """
    try:
        return find_exporter(signal, name).load()
    except ImportError as why:
        raise MissingExtra(f"{_EXPORTER_VARIABLE[signal]}={name!r}: {why}") from why


def find_exporter(signal: str, name: str) -> EntryPoint:
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
