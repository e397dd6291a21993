"""Which process is this, and what has it started for its telemetry?"""

from __future__ import annotations

import gc
import math
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind

from otel_celery.facts import Connected
from otel_celery.guard import Guard
from otel_celery.lanes import Counts
from otel_celery.lanes.bytes_lane import BytesLane
from otel_celery.lanes.otlp_http import Answer, Verdict
from otel_celery.otlp import Envelope
from otel_celery.process import Here, Role
from otel_celery.relay import FACT
from otel_celery.settings import Settings
from otel_celery.wire import Ear
from tests.unit.stand_ins import SENDER, published
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def nothing_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    for signal in ("TRACES", "METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")


@pytest.fixture
def here() -> Iterator[Here]:
    made = Here(Settings(), Guard(), None, "shop")
    yield made
    made.stop()


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_thread_of_an_earlier_test() -> None:
    eventually(lambda: ours() == [])


def ours() -> list[str]:
    return sorted(t.name for t in threading.enumerate() if t.name.startswith("otel-celery"))


def told(here: Here) -> list[Any]:
    assert here.exporter is not None
    return list(here.exporter.speaker.facts)


def test_a_process_that_does_nothing_for_celery_starts_nothing(here: Here):
    assert (here.role, here.exporter, ours()) == (Role.PUBLISHER, None, [])


def test_a_span_that_cannot_be_taken_is_no_fault_of_the_task(here: Here):
    """It ends within the task's own code."""
    here.user_span(object())
    assert here.guard.faults == {"user span": 1}


def test_the_first_fact_makes_a_publisher(here: Here):
    """And the second finds it there."""
    here.tell(published())
    exporter = here.exporter
    here.tell(published())
    assert (here.role, here.exporter is exporter) == (Role.PUBLISHER, True)
    assert len(ours()) == 3
    here.stop()
    assert told(here) == []
    eventually(lambda: ours() == [])


def test_threads_that_publish_at_once_make_one_publisher(here: Here):
    gate = threading.Barrier(8)

    def publish() -> None:
        gate.wait()
        here.tell(published())

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ours()) == 3


def test_a_publisher_that_becomes_a_worker_tells_first_what_it_has(here: Here, ear: Ear):
    """An app may publish while it is imported."""
    here.tell(published())
    publisher = here.exporter
    worker = here.export_as(Role.WORKER, "w@host", {}, ear=ear)
    assert publisher is not None
    assert list(publisher.speaker.facts) == []
    eventually(lambda: ours() == [])  # the worker's own start later
    here.tell(published())
    assert (here.role, here.ear, here.relay_worker) == (Role.WORKER, ear, "w@host")
    assert (here.exporter, told(here)) == (worker, [published()])
    assert worker.resource.attributes["service.instance.id"] == "w@host"


def test_a_pool_process_tells_its_main_and_starts_nothing(here: Here, ear: Ear):
    here.relay = ear.address
    teller = here.tell_main()
    here.tell(published())
    assert [record.kind for record in ear.records()] == [FACT]
    teller._mouth.close()
    assert (here.role, here.teller, here.exporter, ours()) == (
        Role.POOL_PROCESS,
        teller,
        None,
        [],
    )


def test_a_fork_forgets_what_it_inherited(here: Here):
    """It is the parent's, and only closed where it keeps the parent's place."""
    ear = Ear()
    exporter = here.export_as(Role.WORKER, "w@host", {}, ear=ear)
    path = here.relay = ear.address
    here.forget()  # as in a child
    assert (here.role, here.exporter, here.ear, here.teller) == (Role.PUBLISHER, None, None, None)
    assert (here.relay, here.relay_worker) == (path, "w@host")  # a pool process needs them
    assert ear._listener.fileno() == -1
    ear.close()
    exporter.stop()


def test_what_a_fork_inherited_is_not_collected(here: Here):
    """That would close connections of the parent's, and ask for locks that its threads held."""
    exporter = here.export_as(Role.PUBLISHER, "w@host", {})
    held = weakref.ref(exporter)
    exporter.stop()
    here.forget()  # as in a child
    del exporter
    gc.collect()
    assert held() is not None


def test_a_process_stops_nothing_of_its_parent(here: Here):
    here.tell(published())
    here.pid += 1  # as where a fork hook did not run
    here.stop()
    assert len(ours()) == 3
    here.pid = os.getpid()


def test_a_second_stop_does_nothing(here: Here):
    here.tell(published())
    here.stop()
    here.stop()
    eventually(lambda: ours() == [])


def test_a_stop_says_how_many_spans_it_gave_up(here: Here, caplog: pytest.LogCaptureFixture):
    """And counts them, within the time that it has."""
    here.tell(published())
    exporter = here.exporter
    assert exporter is not None
    exporter.lane = exporter.speaker.lane = lane = BytesLane(
        lambda *_: Answer(Verdict.AGAIN, "HTTP 503"),  # type: ignore[arg-type]
        Envelope({}, "otel_celery", "1"),
    )
    exporter.courier.every(1.0, lane.export)
    here.tell(published())
    exporter.speaker.speak()
    waited = lane.counts().waiting
    began = time.monotonic()
    here.stop()
    assert waited
    assert time.monotonic() - began < Settings().flush_timeout + 3
    assert lane.counts() == Counts(0, {"closed": waited}, 0, 50_000)
    assert caplog.messages[-1] == (
        f"otel-celery: {waited} spans did not get through within the 3 s of"
        f" OTEL_CELERY_FLUSH_TIMEOUT and are lost; {waited} were dropped in all."
    )


def test_a_stop_may_be_given_less_time():
    """Main's share, where pool processes had theirs before; together they keep the timeout."""
    settings = Settings(flush_timeout=300)
    assert settings.pool_flush < settings.flush_timeout
    patient = Here(settings, Guard(), None, "shop")
    patient.tell(published())
    assert patient.exporter is not None
    patient.exporter.courier.every(0.0, lambda _: math.inf)  # there is always more to do
    began = time.monotonic()
    patient.stop(0.3)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("worker", "instance"), [("w@host", "w@host/beat"), ("", None)], ids=["embedded", "alone"]
)
def test_beat_is_an_instance_of_its_own(here: Here, worker: str, instance: str | None):
    here.relay_worker = worker
    exporter = here.export_as_beat()
    found = exporter.resource.attributes["service.instance.id"]
    assert (here.role, instance in (None, found)) == (Role.BEAT, True)
    assert found


EVERYTHING = ParentBased(ALWAYS_ON, remote_parent_not_sampled=ALWAYS_ON)


@pytest.mark.parametrize(
    ("sampler", "kept"),
    [
        pytest.param(None, [True, True, False], id="of-the-variables"),
        pytest.param(ParentBased(ALWAYS_ON), [True, True, False], id="the-usual"),
        pytest.param(ALWAYS_OFF, [False, False, False], id="off"),
        pytest.param(ParentBased(ALWAYS_OFF), [False, True, False], id="only-what-was-begun"),
        pytest.param(EVERYTHING, [True, True, True], id="the-usual-but-for-one-part"),
    ],
)
def test_the_application_s_own_sampler_decides(
    here: Here, monkeypatch: pytest.MonkeyPatch, sampler: Sampler | None, kept: list[bool]
):
    """For a root, and for children of a parent that is sampled or not."""
    if sampler is not None:
        provider = TracerProvider(sampler, shutdown_on_exit=False)
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    parents = (None, SENDER, SENDER._replace(sampled=False))
    assert [
        here.decide(parent, SENDER.trace_id, "work", SpanKind.CONSUMER, {}).sampled
        for parent in parents
    ] == kept


def test_a_publish_after_the_stop_begins_anew(monkeypatch: pytest.MonkeyPatch):
    """As where a worker ran in a thread of a program that goes on; late words are not heard."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    here = Here(Settings(), Guard(), None, "shop")
    first = here.export_as(Role.WORKER, "w@test", {})
    here.stop()
    here.tell(Connected(again=True))
    assert here.exporter is first
    here.tell(published())
    assert here.role is Role.PUBLISHER
    assert here.exporter is not first
    here.close()
    here.tell(published())
    assert not here.exporter.speaker.facts
