"""Which way do log records take out of this process?"""

from __future__ import annotations

from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource

from otel_celery.lanes import LogLane, NoLane
from otel_celery.lanes.bytes_lane import BytesLane
from otel_celery.lanes.otlp_http import OtlpHttp
from otel_celery.lanes.reference_logs import ReferenceLogLane
from otel_celery.log_records import LogEnvelope
from otel_celery.sdk.environment import LOGS, OTLP_HTTP, exporter_names, load_exporter


def logs_wanted() -> bool:
    """Return whether OTEL_LOGS_EXPORTER asks for log records."""
    return bool(exporter_names(LOGS))


def app_tells_logs() -> bool:
    """Return whether the application has set a LoggerProvider: its records are its own then."""
    return isinstance(get_logger_provider(), LoggerProvider)


def build_log_lane(resource: Resource) -> LogLane:
    """Return the lane that the variables ask for, which is none unless they say so.

    Raises:
        ConfigError: a variable with an unusable value.
        MissingExtra: an exporter that is not installed.
    """
    names = exporter_names(LOGS)
    if not names:
        return NoLane()
    makers = [load_exporter(LOGS, name) for name in names]
    envelope = LogEnvelope(resource.attributes or {})
    if names == [OTLP_HTTP] and not resource.schema_url:
        post = OtlpHttp.from_env(makers[0], "LOGS")
        return BytesLane(post, envelope, where=post.target.shown, what="log records")
    return ReferenceLogLane([make() for make in makers], resource)
