"""Programs that publish and end, none of which flushes: `python publisher.py PROGRAM`.

Each prints what it found as JSON. Nothing here is imported by a worker.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from typing import Any

import billiard
from billiard.pool import Pool
from celery import Celery, Task
from celery.app.amqp import AMQP
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from opentelemetry import trace

import otel_celery

BROKER = os.environ["CASES_BROKER"]
CHILDREN = 3


def new_app(name: str = "shop") -> Celery:
    """Return an app with one task."""
    app = Celery(name, broker=BROKER, set_as_current=False)
    app.conf.update(broker_connection_timeout=1, task_publish_retry=False)

    @app.task(name=f"{name}.pack")
    def pack(*_: Any) -> None:
        """Never run here."""

    return app


def publish(app: Celery, times: int = 1) -> list[str]:
    """Send the app's task and return the ids."""
    return [app.tasks[f"{app.main}.pack"].delay().id for _ in range(times)]


def plain() -> list[str]:
    """What most programs do."""
    app = new_app()
    otel_celery.instrument(app)
    return publish(app, 3)


def bare() -> list[str]:
    """The same without us."""
    return publish(new_app(), 3)


def two_apps() -> list[str]:
    """Instrumented is the process, not an app."""
    first = new_app("first")
    otel_celery.instrument(first)
    return publish(first) + publish(new_app("second"))


def twice() -> list[str]:
    """Switch on before tasks are there, and again after, with the sender built between."""
    app = Celery("shop", broker=BROKER)
    otel_celery.instrument(app)

    @app.task
    def early() -> None:
        """Never run here."""

    sent = [early.delay().id]
    otel_celery.instrument(app)
    otel_celery.instrument()

    @app.task
    def late() -> None:
        """Never run here."""

    return [*sent, late.delay().id, early.delay().id]


def after_the_first_publish() -> list[str]:
    """Switch on when the app has built its sender already."""
    app = new_app()
    publish(app)
    otel_celery.instrument(app)
    return publish(app)


def headers(app: Celery) -> list[str]:
    """Take the app's oldest message from its queue and return its header names."""
    with app.connection_for_read() as connection:
        message = connection.default_channel.basic_get("celery", no_ack=True)
        return sorted(message.headers)


def switched_off() -> dict[str, Any]:
    """Compare Celery before us and after us, and what its messages carry."""
    classes = (AMQP, Task, Consumer, Request, Pool)

    def attributes() -> dict[str, Any]:
        return {f"{of.__qualname__}.{name}": v for of in classes for name, v in vars(of).items()}

    app = new_app()
    publish(app)
    clean = headers(app)
    before = attributes()
    otel_celery.instrument(app)
    differ = sum(value is not before.get(name) for name, value in attributes().items())
    sent = publish(app)
    ours = sorted(set(headers(app)) - set(clean))
    otel_celery.uninstrument()
    after = attributes()
    publish(app)
    return {
        "sent": sent,
        "wrapped": differ,
        "ours": ours,
        "names": sorted(set(before) ^ set(after)),
        "changed": [name for name in before if after.get(name) is not before[name]],
        "headers": sorted(set(headers(app)) ^ set(clean)),
    }


def forked() -> list[str]:
    """Publish, fork some times, and publish everywhere."""
    app = new_app()
    otel_celery.instrument(app)
    sent = publish(app)
    children = []
    for _ in range(CHILDREN):
        child = os.fork()
        if child == 0:
            publish(app)
            sys.exit(0)
        children.append(child)
    sent += publish(app)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * CHILDREN
    return sent


def with_multiprocessing(library: Any = multiprocessing) -> list[str]:
    """The same by a library whose children end without `atexit`."""
    app = new_app()
    otel_celery.instrument(app)
    sent = publish(app)
    process = library.get_context("fork").Process
    children = [process(target=publish, args=(app,)) for _ in range(CHILDREN)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return sent + publish(app)


def with_billiard() -> list[str]:
    """The same by Celery's own library, which tasks must use."""
    return with_multiprocessing(billiard)


def preloaded() -> list[str]:
    """A web server that loads the application, publishes, and then forks its workers."""
    app = new_app()
    otel_celery.instrument(app)
    sent = publish(app)
    children, ready = [], os.pipe()
    for _ in range(CHILDREN):
        child = os.fork()
        if child == 0:
            # As gunicorn's sync worker: a loop until SIGTERM, which ends it by SystemExit.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            publish(app)
            os.write(ready[1], b"1")
            signal.pause()
        children.append(child)
    for _ in children:
        os.read(ready[0], 1)
    for child in children:
        os.kill(child, signal.SIGTERM)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * CHILDREN
    return sent


def broken() -> dict[str, Any]:
    """Publish to a broker that is not there, within a span."""
    app = new_app()
    around = trace.NonRecordingSpan(trace.SpanContext(1, 2, False, trace.TraceFlags(1)))
    with trace.use_span(around, record_exception=False):
        try:
            publish(app)
        except Exception as exc:  # noqa: BLE001 - it is what the test is about
            told = [type(exc).__module__, type(exc).__name__, repr(exc.args), str(exc)]
            causes = [type(exc.__cause__).__name__, type(exc.__context__).__name__]
            same = trace.get_current_span() is around
            return {"raised": told, "causes": causes, "same_span": same}
    return {"raised": None}


def broken_observed() -> dict[str, Any]:
    """The same through our door."""
    otel_celery.instrument()
    return broken()


def set_provider() -> None:
    """Set up the SDK as its documentation says, and never flush it either."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "of-the-app"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def own_provider() -> list[str]:
    """Publish within a span of the application's."""
    set_provider()
    app = new_app()
    otel_celery.instrument(app)
    with trace.get_tracer("app").start_as_current_span("checkout"):
        return publish(app)


def own_provider_forked() -> list[str]:
    """A preloading server with a provider of its own."""
    set_provider()
    return forked()


def provider_after_the_first_publish() -> list[str]:
    """An application whose provider comes late: what was published before went our way."""
    app = new_app()
    otel_celery.instrument(app)
    sent = publish(app)
    set_provider()
    return sent + publish(app)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()), flush=True)
