"""Which app's broker does a command look at?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.app.utils import find_app

from otel_celery.errors import OtelCeleryError


class AppFault(OtelCeleryError):
    """The app cannot be had."""


def find(name: str, broker: str, queues: Sequence[str]) -> Any:
    """Return the app of `-A`, or one made of a broker's URL alone.

    Args:
        name: as `celery -A` takes it; may be empty.
        broker: URL; may be empty. It wins over that of the app.
        queues: to read besides the app's own; without an app, only these.

    Raises:
        AppFault: there is no such app.
    """
    if not name:
        app = Celery("celery", set_as_current=False)
        if queues:
            app.conf.task_queues = {queue: {} for queue in queues}
    else:
        try:
            app = find_app(name)
        except (ImportError, AttributeError) as why:
            raise AppFault(f"-A {name}: {type(why).__name__}: {why}") from why
        if not isinstance(app, Celery):
            raise AppFault(f"-A {name} is no Celery app but a {type(app).__name__}")
    if broker:
        app.conf.update(broker_url=broker, broker_read_url=broker, broker_write_url=broker)
    return app
