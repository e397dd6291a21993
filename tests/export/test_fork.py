"""A process that forks after it began to send loses nothing and sends nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_celery import conventions as c
from tests.receiver import Receiver
from tests.services import HOST

FORKING = """
import os, sys, warnings
from celery import Celery
import otel_celery
from otel_celery import bootstrap

warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads forks
app = Celery("web", broker="memory://")
otel_celery.instrument(app)

def publish(name):
    app.send_task(name)
    assert bootstrap._current.here.exporter.flush(20)

publish("first")
app.send_task("second")
child = os.fork()
if not child:
    publish("child's")
    sys.exit()
status = os.waitpid(child, 0)[1]
publish("third")
print("child", status)
"""


def test_parent_and_child_each_send_their_own_spans(receiver: Receiver):
    """Over connections of their own, as under gunicorn with preloaded code."""
    ran = subprocess.run(
        [sys.executable, "-c", FORKING],
        env={**os.environ, "OTEL_METRICS_EXPORTER": "none"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.stdout, ran.returncode) == ("child 0\n", 0), ran.stderr
    by_name = Counter(span.name for span in receiver.spans)
    assert by_name == Counter(f"publish {name}" for name in ("first", "second", "child's", "third"))
    connections = {
        span.name: request.connection
        for request in receiver.received
        for of_resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    }
    assert connections["publish first"] == connections["publish third"]
    assert connections["publish first"] != connections["publish child's"]


AGAIN = """
from celery import Celery
import otel_celery
from otel_celery import bootstrap

app = Celery("web", broker="memory://")
for names in (["first", "second"], ["third"]):
    otel_celery.instrument(app)
    for name in names:
        app.send_task(name)
    assert bootstrap._current.here.exporter.flush(20)
    otel_celery.uninstrument()
print("child 0")
"""


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        pytest.param(FORKING, [{"first", "second", "third"}, {"child's"}], id="fork"),
        pytest.param(AGAIN, [{"first", "second"}, {"third"}], id="switched-off-and-on"),
    ],
)
def test_who_begins_anew_counts_from_zero(receiver: Receiver, script: str, sent: list[set[str]]):
    """Under an identity of its own, so that nothing is in two sums."""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.stdout, ran.returncode) == ("child 0\n", 0), ran.stderr
    told: dict[str, dict[str, int]] = {}
    for request in receiver.metrics:
        for of_resource in request.resource_metrics:
            attributes = {
                each.key: each.value.string_value for each in of_resource.resource.attributes
            }
            for of_scope in of_resource.scope_metrics:
                for metric in of_scope.metrics:
                    if metric.name == c.SENT_MESSAGES.name:
                        told[attributes["service.instance.id"]] = {
                            each.value.string_value: point.as_int
                            for point in metric.sum.data_points
                            for each in point.attributes
                            if each.key == c.TASK_NAME
                        }
    assert sorted(told.values(), key=len, reverse=True) == [dict.fromkeys(each, 1) for each in sent]


IMPORTS = """
import sys
from otel_celery.lanes.otlp_http import OtlpHttp
before = set(sys.modules)
print(OtlpHttp.from_env()(b"", 5.0).verdict.value)
print(sorted(set(sys.modules) - before))
"""


def test_a_request_imports_nothing(receiver: Receiver):
    """A child that is forked while a thread of its parent imports a module never gets its lock."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url.replace(HOST, "localhost")},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["delivered", "[]"]


LEAVES = """
import os, queue, sys, threading, weakref
from celery import Celery
import otel_celery
from otel_celery import bootstrap

app = Celery("web", broker="memory://")
otel_celery.instrument(app)
app.send_task("first")
assert bootstrap._current.here.exporter.flush(20)
# As threads of the parent hold them at each request: what a finalizer of urllib3 is given.
pools = [entry.args[0] for entry in weakref.finalize._registry.values()
         if entry.args and isinstance(entry.args[0], queue.Queue)]
for pool in pools:
    pool.mutex.acquire()
child = os.fork()
if not child:
    app.send_task("second")
    sys.exit()  # with all that is done at an exit
for pool in pools:
    pool.mutex.release()
print(len(pools), os.waitpid(child, 0)[1])
"""


def test_a_child_may_leave_whatever_its_parent_held(receiver: Receiver):
    """urllib3 asks for the locks of its pools when a process ends."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVES],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    of_spans_and_metrics = 2
    assert done.stdout.splitlines() == [f"{of_spans_and_metrics} 0"]
