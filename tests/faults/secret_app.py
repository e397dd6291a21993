"""The app of the tests about secrets: tasks whose data is secret, watched by one side.

CANARIES holds a secret for each place, as JSON. As a program, it sends each task once.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from celery import Celery
from celery.utils.log import get_task_logger
from kombu.exceptions import OperationalError
from opentelemetry import trace
from watching import watch

SECRET = json.loads(os.environ["CANARIES"])
logger = get_task_logger(__name__)

app = Celery("secret", broker=os.environ["CASES_BROKER"], backend=os.environ["CASES_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    beat_schedule={
        "due": {"task": "secret.quiet", "schedule": 1.0, "args": (SECRET["argument"],)},
    },
)
if os.environ.get("BREAK"):
    from breaking import break_hooks

    break_hooks(os.environ["BREAK"])
watch(app)


@app.task(name="secret.quiet")  # type: ignore[untyped-decorator]
def quiet(argument: str) -> None:
    """Do nothing."""


@app.task(name="secret.kept")  # type: ignore[untyped-decorator]
def kept(argument: str, keyword: str = "") -> str:
    """Return a secret."""
    return str(SECRET["result"])


@app.task(name="secret.fails")  # type: ignore[untyped-decorator]
def fails(argument: str, keyword: str = "") -> None:
    """Raise an exception that quotes addresses with their credentials, through a span."""
    with trace.get_tracer("secret").start_as_current_span("inner"):
        raise ConnectionError(
            f"no answer from postgresql://me:{SECRET['exception']}@db/shop,"
            f" azureservicebus://root:a/{SECRET['exception']}=@space"
            f" or https://store/blob?sv=1&sig={SECRET['exception']}"
        )


@app.task(name="secret.logs")  # type: ignore[untyped-decorator]
def logs(argument: str, keyword: str = "") -> None:
    """Log such an exception, and catch it."""
    try:
        fails.run(argument, keyword)
    except ConnectionError:
        trace.get_current_span().record_exception(ConnectionError(f"x://:{SECRET['exception']}@h"))
        logger.exception("told")


def main() -> None:
    """Send each task, and one that does not leave."""
    given: dict[str, Any] = {
        "args": (SECRET["argument"],),
        "kwargs": {"keyword": SECRET["keyword"]},
        "headers": {"x-api-key": SECRET["header"]},
    }
    print(json.dumps([task.apply_async(**given).id for task in (kept, fails, logs)]))
    nowhere = f"redis://:{SECRET['failover']}@127.0.0.1:1/0"
    with (
        contextlib.suppress(OperationalError),
        app.connection_for_write(nowhere) as connection,
    ):
        kept.apply_async(**given, connection=connection, retry=False)


if __name__ == "__main__":
    main()
