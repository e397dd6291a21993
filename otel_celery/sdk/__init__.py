"""How do settings and `OTEL_*` variables become objects of the SDK?"""

from __future__ import annotations

from otel_celery.lanes.readable import Envelopes, encode_readable
from otel_celery.sdk.environment import build_resource, build_sampler, sdk_disabled, span_limits
from otel_celery.sdk.logs import app_tells_logs, build_log_lane, logs_wanted
from otel_celery.sdk.metrics import Metering, build_meter_provider, check_environment
from otel_celery.sdk.traces import build_span_lane, build_user_tracer_provider

__all__ = [
    "Envelopes",
    "Metering",
    "app_tells_logs",
    "build_log_lane",
    "build_meter_provider",
    "build_resource",
    "build_sampler",
    "build_span_lane",
    "build_user_tracer_provider",
    "check_environment",
    "encode_readable",
    "logs_wanted",
    "sdk_disabled",
    "span_limits",
]
