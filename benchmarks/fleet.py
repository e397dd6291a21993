"""What does one Collector need for a fleet of workers?

The real Collector with its own configuration is sent what a real worker sent, as so many workers as
the step says, each with a name and connections of its own, and is scraped as Prometheus does it.
"""

from __future__ import annotations

import functools
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks import processes
from benchmarks.recording import record
from benchmarks.replay import INTERVAL, Plan, replay
from benchmarks.series import Worker
from collector.native.build import build_collector
from tests.collector.collectors import Collector
from tests.services import HOST

_recorded = functools.cache(record)  # steps that differ in the fleet alone replay the same worker
SCRAPE = 10.0
"""Seconds between two scrapes, as in prometheus.yml; a scrape that takes longer fails there."""

AS_PROMETHEUS = {
    "Accept": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
    "encoding=delimited",
    "Accept-Encoding": "gzip",
}
AS_SHIPPED = {"TAIL_DECISION_WAIT": "30s", "SPAN_METRICS_FLUSH": "15s"}
RECORDED_SECONDS = 20


class Step(NamedTuple):
    """One run of the Collector.

    Attributes:
        part: which table it is of.
        workers: how many send.
        rate: tasks a second of each of them.
        tasks: that each of them has.
        queues: that each of them consumes.
        children: pool processes of the one that was recorded.
        native: their histograms are exponential.
        overlay: of the Collector's configuration; "": none.
        at_once: their metrics all come in the same moment.
    """

    part: str
    workers: int
    rate: float = 0.1
    tasks: int = 10
    queues: int = 2
    children: int = 2
    native: bool = False
    overlay: str = ""
    at_once: bool = False

    @property
    def shape(self) -> Worker:
        return Worker(self.tasks, self.queues, native=self.native, process=True)


def steps(quick: bool) -> Sequence[Step]:
    """Return what is measured; each table varies one thing."""
    few = 4 if quick else 100
    return [
        *(Step("workers", number) for number in ((2, 4) if quick else (10, 100, 1000))),
        Step("workers", 4 if quick else 1000, native=True),
        Step("jitter", 4 if quick else 1000, at_once=True),
        *(Step("rate", few, rate=rate) for rate in ((1,) if quick else (1, 10))),
        Step("rate", few, rate=1 if quick else 10, overlay="keep-all"),
        Step("shape", few, tasks=2 if quick else 50),
        Step("shape", few, queues=10),
        Step("shape", few, children=4 if quick else 8),
    ]


def measure(step: Step, quick: bool) -> dict[str, Any]:
    """Return what the Collector needed, and what it was sent."""
    recorded = 2 if quick else RECORDED_SECONDS
    recording = _recorded(step.shape, max(step.rate, 1), recorded, step.children)
    warm, seconds = (2.0, 3.0) if quick else (1.5 * INTERVAL, 3 * SCRAPE)
    with tempfile.TemporaryDirectory() as name, _taking_all() as store:
        overlays = [step.overlay] if step.overlay else []
        environ = {**AS_SHIPPED, "TRACES_ENDPOINT": store}
        collector = Collector(build_collector(), Path(name), overlays, environ)
        with collector.running() as process:
            every = max(1.0, 1 / step.rate)
            plan = Plan(collector.otlp, step.workers, every, warm + seconds, step.at_once)
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                sent = pool.submit(replay, recording, plan)
                found = _watched(collector, psutil.Process(process.pid), warm, seconds)
                sent_all = sent.result()
            accepted = _accepted(collector)
            text = {} if step.native else collector.scraped()
    return {
        **step._asdict(),
        **found,
        **sent_all,
        **accepted,
        "seconds": warm + seconds,
        "request_bytes": len(recording.metrics),
        "series_by_formula": step.shape.series() * step.workers,
        "series_of_workers": sum(_is_of_a_worker(one) for one in text) or None,
    }


def _watched(
    collector: Collector, process: psutil.Process, warm: float, seconds: float
) -> dict[str, float]:
    """Scrape the Collector all the time; return what it used after it had warmed up."""
    began = time.monotonic()
    turn, started, used, rss, most = 0, 0.0, 0.0, 0, 0
    scrapes: list[float] = []
    while (now := time.monotonic() - began) < warm + seconds:
        if not started and now >= warm:
            started, used, scrapes = time.monotonic(), processes.cpu(process), []
        if now >= turn * min(SCRAPE, warm):
            turn += 1
            scrapes.append(_scrape(collector))
        rss = process.memory_info().rss
        most = max(most, rss)
        time.sleep(0.2)
    return {
        "cores": (processes.cpu(process) - used) / (time.monotonic() - started),
        "rss_most": most,
        "rss_last": rss,
        "scrape_seconds": max(scrapes),
    }


def _scrape(collector: Collector) -> float:
    """Return how many seconds it took until the page had come, compressed as for Prometheus."""
    url = f"http://{HOST}:{collector.environ['OTELCOL_METRICS_PORT']}/metrics"
    began = time.monotonic()
    with collector.session.get(url, headers=AS_PROMETHEUS, stream=True, timeout=120) as answer:
        for _ in answer.raw.stream(1 << 20, decode_content=False):
            pass
    return time.monotonic() - began


def _accepted(collector: Collector) -> dict[str, float]:
    """Return what the Collector itself counted."""
    told = collector.scraped("OTELCOL_TELEMETRY_PORT")

    def total(name: str) -> float:
        return sum(value for series, value in told.items() if series.startswith(name))

    return {
        "accepted_points": total("otelcol_receiver_accepted_metric_points"),
        "accepted_spans": total("otelcol_receiver_accepted_spans"),
    }


def _is_of_a_worker(series: str) -> bool:
    return 'instance="celery@w' in series


@contextmanager
def _taking_all() -> Iterator[str]:
    """Run a store of traces that reads and forgets."""
    with ThreadingHTTPServer((HOST, 0), _Forgetting) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()


class _Forgetting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be silent."""
