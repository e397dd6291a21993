"""Forks again and again while all its threads are at work: `python forking_app.py`, or as an app.

On its own it is a program that publishes; as the app of a worker, the worker's main forks. Each
child makes a span, a message and a point of a metric, exports them and ends. FORKS says how many,
PROVIDER=own sets providers of the application's own, AS what the children are: `publisher` by
themselves, `pool` processes of the worker. What came of them goes to the file TOLD, as JSON.
"""

from __future__ import annotations

import atexit
import faulthandler
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from celery import Celery, signals
from celery.concurrency.prefork import process_initializer
from copies import Copies
from opentelemetry import metrics, trace
from watching import watch

from otel_celery import exporter

FORKS, AS, OWN = int(os.environ["FORKS"]), os.environ["AS"], os.environ.get("PROVIDER") == "own"
DEADLINE = float(os.environ.get("DEADLINE", "60"))  # for a child, which needs some 0.1 s
AT_ONCE = 3
BUSY = 3  # threads that make telemetry without a pause

exporter._EXPORT_INTERVAL = 0.001
sys.setswitchinterval(0.0005)  # more places where a fork may find a lock held
app = Celery("forking", broker=os.environ["CASES_BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True)
tracer, meter = trace.get_tracer("forking"), metrics.get_meter("forking")


@app.task(name="noise")  # type: ignore[untyped-decorator]
def noise() -> None:
    """Make a span of its own."""
    with tracer.start_as_current_span("noise"):
        pass


def provide() -> None:
    """Set providers of the application's own, with all they have at full speed."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1))
    trace.set_tracer_provider(provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=1000)
    metrics.set_meter_provider(MeterProvider([reader]))


@app.task(name="child")  # type: ignore[untyped-decorator]
def work(number: int) -> None:
    """Make a span, a message and, where it has a way out of its own, a point."""
    with (
        tracer.start_as_current_span("child", attributes={"number": number}),
        app.connection_for_write() as connection,
    ):
        app.send_task("unheard", queue="unheard", connection=connection)
    if AS == "pool":
        meter.create_counter("of.children").add(1)


def child(number: int) -> None:
    """Be what a child is, and end as one ends."""
    faulthandler.dump_traceback_later(DEADLINE, exit=True, file=sys.__stderr__)
    if AS == "pool":
        process_initializer(app, "")
        app.tasks["child"].__trace__(str(number), (number,), {}, {})
        signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
    else:
        work(number)
        atexit._run_exitfuncs()


class Busy:
    """Threads that make telemetry without a pause, and without kombu.

    kombu holds a lock now and then that no fork renews: with any library or none, a child of a
    process that publishes in another thread at that moment hangs.
    """

    def __init__(self) -> None:
        amqp = app.amqp
        self._message, self._send = amqp.as_task_v2, amqp.send_task_message
        self._deaf = SimpleNamespace(publish=lambda *_, **__: None)
        self._counter = meter.create_counter("of.parent")
        self._over = threading.Event()
        self.spans, self.points = [0] * BUSY, [0] * BUSY
        work = [self._feed, *[self._work] * (BUSY - 1)] if AS == "pool" else [self._work] * BUSY
        self._threads = [threading.Thread(target=one, args=(n,)) for n, one in enumerate(work)]
        for thread in self._threads:
            thread.start()

    def _work(self, place: int) -> None:
        while not self._over.is_set():
            with tracer.start_as_current_span("parent") as span:
                if AS != "pool":
                    self._publish(f"{place}-{self.spans[place]}")
            self.spans[place] += span.is_recording()
            self._counter.add(1)
            self.points[place] += 1
            time.sleep(0.0005)

    def _publish(self, task_id: str) -> None:
        message = self._message(task_id, "noise", (), {})
        self._send(self._deaf, "noise", message, exchange="", routing_key="busy")

    def _feed(self, place: int) -> None:
        """Keep the pool at work, with copies of one message."""
        copies = Copies(os.environ["CASES_BROKER"], "noise", "busy", app)
        while not self._over.wait(0.05):
            copies.fill(10)

    def stop(self) -> dict[str, int]:
        """Stop; return how many they made."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return {"spans": sum(self.spans), "points": sum(self.points)}


def hammer() -> None:
    """Fork as often as asked, and tell what came of it."""
    app.finalize()
    busy, codes, began = Busy(), [], time.monotonic()
    own: set[int] = set()
    for number in range(FORKS):
        while len(own) == AT_ONCE:
            codes.append(ended(own))
        pid = os.fork()
        if pid == 0:
            try:
                child(number)
            except BaseException:  # noqa: BLE001 - a child ends here whatever happens
                traceback.print_exc()
                os._exit(70)
            os._exit(0)
        own.add(pid)
    while own:
        codes.append(ended(own))
    told = {"failed": [code for code in codes if code], **busy.stop()}
    told["seconds"] = round(time.monotonic() - began, 1)
    Path(os.environ["TOLD"]).write_text(json.dumps(told))


def ended(own: set[int]) -> int:
    """Wait for the end of a child of ours, the worker has others; return its exit code."""
    while True:
        for pid in own:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                own.discard(pid)
                return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _on_ready(**_: Any) -> None:
    threading.Thread(target=hammer, name="hammer").start()


if OWN:
    provide()
watch(app)
faulthandler.register(signal.SIGUSR1, file=sys.__stderr__)

if __name__ == "__main__":
    hammer()
