"""Who configures the SDK under `opentelemetry-instrument`, and where not?"""

from __future__ import annotations

import sys
from typing import Any

from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # as contrib's distro does

from otel_celery.distro import disabled, runs_worker


class Configurator(_OTelSDKConfigurator):
    """Configures the SDK as ever, but not in the processes of a worker."""

    def _configure(self, **options: Any) -> None:
        if disabled() or not runs_worker(sys.orig_argv):
            super()._configure(**options)  # type: ignore[no-untyped-call]
