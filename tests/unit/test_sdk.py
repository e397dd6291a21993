"""What the `OTEL_*` variables ask for is what is built, and what cannot be is said at start."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Sampler, TraceIdRatioBased
from opentelemetry.trace import NoOpTracerProvider

from otel_celery import __version__, sdk
from otel_celery.errors import ConfigError, MissingExtra
from otel_celery.lanes import NoLane
from otel_celery.lanes.application import ApplicationLane
from otel_celery.lanes.bytes_lane import BytesLane
from otel_celery.lanes.reference import ReferenceLane
from otel_celery.lanes.reference_logs import ReferenceLogLane
from otel_celery.otlp import Limits
from otel_celery.sdk import environment

RESOURCE = Resource({"service.name": "shop"})


def own(resource: Resource) -> dict[str, Any]:
    """What a resource says beside what the SDK says of itself."""
    return {k: v for k, v in resource.attributes.items() if not k.startswith("telemetry.sdk.")}


DISTRO = {"telemetry.distro.name": "otel-celery", "telemetry.distro.version": __version__}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param(
            {},
            {"service.name": "shop", "service.instance.id": "celery@h", "host.name": "h"},
            id="ours",
        ),
        pytest.param(
            {"OTEL_SERVICE_NAME": "theirs"},
            {"service.name": "theirs", "service.instance.id": "celery@h", "host.name": "h"},
            id="service-name",
        ),
        pytest.param(
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,host.name=b,team=c%20d"},
            {
                "service.name": "a",
                "service.instance.id": "celery@h",
                "host.name": "b",
                "team": "c d",
            },
            id="attributes-win",
        ),
        pytest.param(
            {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-7"},
            {"service.name": "shop", "service.instance.id": "pod-7/celery@h", "host.name": "h"},
            id="instance-is-a-prefix",
        ),
    ],
)
def test_resource_says_who_speaks(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], expected: dict[str, str]
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    resource = sdk.build_resource("celery@h", "shop", **{"host.name": "h"})
    assert own(resource) == {**expected, **DISTRO}


def test_an_address_in_the_resource_has_no_credentials(monkeypatch: pytest.MonkeyPatch):
    """A detector may have read the command line, where Celery's `-b` takes the broker's."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "command=celery -b redis://:pa55@host/0")
    told = sdk.build_resource("celery@h", "shop").attributes
    assert told["command"] == "celery -b redis://***@host/0"


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        pytest.param("", "", DEFAULT_ON.get_description(), id="default"),
        pytest.param("always_off", "", ALWAYS_OFF.get_description(), id="named"),
        pytest.param(
            "traceidratio", "0.25", TraceIdRatioBased(0.25).get_description(), id="with-argument"
        ),
    ],
)
def test_sampler_is_the_sdks(
    monkeypatch: pytest.MonkeyPatch, name: str, argument: str, expected: str
):
    if name:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    assert sdk.build_sampler().get_description() == expected


def offer(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    """Have every entry point lead to `made`."""

    class Offered:
        value = "mine:made"

        @staticmethod
        def load() -> Any:
            return made

    monkeypatch.setattr(environment, "entry_points", lambda **_: [Offered])


def test_sampler_may_come_from_an_entry_point(monkeypatch: pytest.MonkeyPatch):
    """And is made with the argument, as the SDK's auto-configuration does."""
    asked: list[str] = []

    def make(argument: str) -> Sampler:
        asked.append(argument)
        return ALWAYS_OFF

    offer(monkeypatch, make)
    chosen = {"OTEL_TRACES_SAMPLER": "mine", "OTEL_TRACES_SAMPLER_ARG": "7"}
    assert sdk.build_sampler(chosen) is ALWAYS_OFF
    assert asked == ["7"]


def test_what_is_no_sampler_fails_at_start(monkeypatch: pytest.MonkeyPatch):
    offer(monkeypatch, str)
    with pytest.raises(ConfigError, match="OTEL_TRACES_SAMPLER='mine'"):
        sdk.build_sampler({"OTEL_TRACES_SAMPLER": "mine"})


def test_limits_are_read_by_the_sdk(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "3")
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9")
    assert sdk.span_limits() == Limits(
        max_events=3, max_span_attribute_length=9, max_attribute_length=9
    )


def test_limit_that_is_no_number_fails_at_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "many")
    with pytest.raises(ConfigError, match=r"OTEL_SPAN_LINK_COUNT_LIMIT .* but got many"):
        sdk.span_limits()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, ["otlp_proto_http"], id="default"),
        pytest.param({"OTEL_TRACES_EXPORTER": "none"}, [], id="none"),
        pytest.param({"OTEL_SDK_DISABLED": "TRUE"}, [], id="disabled"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_grpc"], id="grpc"),
        pytest.param(
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            ["otlp_proto_http"],
            id="protocol-of-traces-wins",
        ),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "console, otlp,console"},
            ["console", "otlp_proto_http"],
            id="several",
        ),
    ],
)
def test_exporters_are_named_by_the_variables(variables: Mapping[str, str], expected: list[str]):
    assert environment.exporter_names("traces", variables) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, [], id="off-unless-asked-for"),
        pytest.param({"OTEL_LOGS_EXPORTER": "otlp"}, ["otlp_proto_http"], id="otlp"),
        pytest.param(
            {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc"},
            ["otlp_proto_grpc"],
            id="grpc",
        ),
        pytest.param(
            {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, [], id="disabled"
        ),
    ],
)
def test_logs_are_exported_where_they_are_asked_for(
    variables: Mapping[str, str], expected: list[str]
):
    assert environment.exporter_names("logs", variables) == expected


def test_an_exporter_of_logs_that_is_not_there_fails_at_start():
    with pytest.raises(ConfigError, match="OTEL_LOGS_EXPORTER='logging': expected otlp, console"):
        sdk.check_environment({"OTEL_LOGS_EXPORTER": "logging"})


@pytest.mark.parametrize(
    ("variables", "lane", "exporters"),
    [
        pytest.param({}, NoLane, None, id="default"),
        pytest.param({"OTEL_LOGS_EXPORTER": "otlp"}, BytesLane, None, id="otlp-http"),
        pytest.param(
            {"OTEL_LOGS_EXPORTER": "console"},
            ReferenceLogLane,
            [ConsoleLogRecordExporter],
            id="console",
        ),
        pytest.param(
            {
                "OTEL_LOGS_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_INSECURE": "true",
            },
            ReferenceLogLane,
            [OTLPLogExporter],
            id="grpc",
        ),
    ],
)
def test_lane_of_logs_follows_from_the_variables(
    monkeypatch: pytest.MonkeyPatch,
    variables: Mapping[str, str],
    lane: type,
    exporters: list[type] | None,
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    built = sdk.build_log_lane(RESOURCE)
    assert type(built) is lane
    if isinstance(built, ReferenceLogLane):
        assert [type(exporter) for exporter in built.exporters] == exporters
    built.close()


def test_unknown_protocol_fails_at_start():
    with pytest.raises(ConfigError, match="TRACES_PROTOCOL='http/json': expected one of"):
        environment.exporter_names("traces", {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"})


def test_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "entry_points", lambda **_: [])
    with pytest.raises(MissingExtra, match=r"pip install 'otel-celery\[grpc\]'"):
        environment.load_exporter("traces", "otlp_proto_grpc")
    with pytest.raises(ConfigError, match="OTEL_TRACES_EXPORTER='jaegr': expected otlp, console"):
        environment.load_exporter("traces", "jaegr")


def test_exporter_that_does_not_import_is_named(monkeypatch: pytest.MonkeyPatch):
    broken = EntryPoint("mine", "not_there_at_all:X", "opentelemetry_traces_exporter")
    monkeypatch.setattr(environment, "entry_points", lambda **_: [broken])
    with pytest.raises(MissingExtra, match=r"OTEL_TRACES_EXPORTER='mine': .*not_there_at_all"):
        environment.load_exporter("traces", "mine")


@pytest.mark.parametrize(
    ("variables", "lane", "exporters"),
    [
        pytest.param({}, BytesLane, None, id="otlp-http"),
        pytest.param({"OTEL_TRACES_EXPORTER": "none"}, NoLane, None, id="none"),
        pytest.param({"OTEL_SDK_DISABLED": "true"}, NoLane, None, id="disabled"),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "console"},
            ReferenceLane,
            [ConsoleSpanExporter],
            id="console",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
            ReferenceLane,
            [GrpcSpanExporter],
            id="grpc",
        ),
    ],
)
def test_lane_follows_from_the_variables(
    monkeypatch: pytest.MonkeyPatch,
    variables: Mapping[str, str],
    lane: type,
    exporters: list[type] | None,
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    built = sdk.build_span_lane(RESOURCE)
    assert type(built) is lane
    if isinstance(built, ReferenceLane):
        assert [type(exporter) for exporter in built.exporters] == exporters
    built.close()


def test_applications_own_provider_is_the_way_out():
    """But only the SDK's: nothing can be told to another."""
    theirs = TracerProvider(shutdown_on_exit=False)
    assert isinstance(sdk.build_span_lane(RESOURCE, theirs), ApplicationLane)
    assert isinstance(sdk.build_span_lane(RESOURCE, NoOpTracerProvider()), BytesLane)


def test_user_spans_are_handed_on_when_they_end(monkeypatch: pytest.MonkeyPatch):
    """Only sampled ones."""
    ended: list[ReadableSpan] = []
    provider = sdk.build_user_tracer_provider(RESOURCE, ended.append)
    provider.get_tracer("lib").start_span("kept").end()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    silent = sdk.build_user_tracer_provider(RESOURCE, ended.append)
    silent.get_tracer("lib").start_span("dropped").end()
    assert [(span.name, span.resource) for span in ended] == [("kept", RESOURCE)]
