"""What was it called before, in other programs, and how do old boards live on?

Each row with a query becomes a recording rule that writes the old name.
"""

from __future__ import annotations

from collector.catalogue.migration.celery_exporter import CELERY_EXPORTER
from collector.catalogue.migration.celery_exporter_1 import CELERY_EXPORTER_1
from collector.catalogue.migration.flower import FLOWER
from collector.catalogue.migration.old import Old

SOURCES: dict[str, tuple[Old, ...]] = {
    "celery-exporter": CELERY_EXPORTER,
    "flower": FLOWER,
    "celery-exporter-1": CELERY_EXPORTER_1,
}
"""Name of the file -> rows. More than one may be loaded, unless a name is in both."""
