"""A process that forks after it began to send loses nothing and sends nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

from tests.receiver import Receiver
from tests.services import HOST

FORKING = """
import os, warnings
from opentelemetry.sdk.resources import Resource
from otel_celery.courier import Courier
from otel_celery.sdk import build_span_lane
from otel_celery.span import CONSUMER, FinishedSpan

warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads forks

def put(number):
    lane.put(FinishedSpan("s", CONSUMER, 9, number, 0, 1, 2, {}))

lane = build_span_lane(Resource({"service.name": "web"}))
courier = Courier(lambda place, fault: print(place, fault))
lane.wake = courier.every(3600, lane.export)
put(1)
assert courier.flush(20)
put(2)
child = os.fork()
if child == 0:
    courier.forget()
    lane.forget()
    lane.wake = courier.every(3600, lane.export)
    put(3)
    os._exit(0 if courier.flush(20) and lane.counts().waiting == 0 else 1)
status = os.waitpid(child, 0)[1]
put(4)
assert courier.flush(20)
print("child", status)
"""


def test_parent_and_child_each_send_their_own_spans(receiver: Receiver):
    """Over connections of their own, as under gunicorn with preloaded code."""
    ran = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.returncode) == ("child 0\n", 0), ran.stderr
    arrived = Counter(int.from_bytes(span.span_id, "big") for span in receiver.spans)
    assert arrived == {1: 1, 2: 1, 3: 1, 4: 1}
    first, childs, second = [request.connection for request in receiver.received]
    assert first == second != childs


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
import os, sys
from otel_celery.lanes.otlp_http import OtlpHttp
post = OtlpHttp.from_env()
post(b"", 5.0)
(pools,) = (adapter.poolmanager.pools for adapter in set(post._session.adapters.values())
            if adapter.poolmanager.pools.keys())
(pool,) = (pools[key] for key in pools.keys())
pool.pool.mutex.acquire()  # as a thread of the parent does at each request
child = os.fork()
if not child:
    post.forget()
    print(post(b"", 5.0).verdict.value, flush=True)
    sys.exit()  # with all that is done at an exit
pool.pool.mutex.release()
print(os.waitpid(child, 0)[1])
"""


def test_a_child_may_leave_whatever_its_parent_held(receiver: Receiver):
    """urllib3 asks for the locks of its pools when a process ends."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVES],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["delivered", "0"]
