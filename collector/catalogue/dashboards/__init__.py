"""Which dashboards are there, and what lies in their files?"""

from __future__ import annotations

import json

from collector.catalogue.dashboards.beat import BEAT
from collector.catalogue.dashboards.grafana import build_dashboard
from collector.catalogue.dashboards.ledger import LEDGER
from collector.catalogue.dashboards.model import Dashboard
from collector.catalogue.dashboards.overview import OVERVIEW
from collector.catalogue.dashboards.pipeline import PIPELINE
from collector.catalogue.dashboards.queues import QUEUES
from collector.catalogue.dashboards.tasks import TASKS
from collector.catalogue.dashboards.workers import WORKERS

DASHBOARDS = (OVERVIEW, TASKS, QUEUES, WORKERS, BEAT, PIPELINE, LEDGER)


def dashboard_file(dashboard: Dashboard) -> str:
    return json.dumps(build_dashboard(dashboard), indent=2) + "\n"
