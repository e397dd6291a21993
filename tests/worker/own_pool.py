"""A pool class as users write them; CELERY_CUSTOM_WORKER_POOL names it."""

from __future__ import annotations

from celery.concurrency.prefork import TaskPool


class OwnPool(TaskPool):
    """It has processes, whatever its module is called."""
