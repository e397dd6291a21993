"""`python -m otel_celery.cli`: the command where its script is not on PATH."""

from __future__ import annotations

import sys

from otel_celery.cli import main

sys.exit(main())
