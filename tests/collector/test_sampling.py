"""Which traces are kept: all that failed, were slow or long in coming, and a share of the rest."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.collectors import Collector, by_trace, process, publish
from tests.receiver import Receiver
from tests.waiting import eventually

pytestmark = pytest.mark.stack

NOTHING = {"TAIL_BASELINE_PERCENT": "0"}
REASONS = {
    "failed": {"error": "boom", "celery__task__state": "failure"},
    "timeout": {"celery__task__state": "timeout"},
    "lost": {"celery__task__state": "lost"},
    "to-be-retried": {"celery__task__state": "retry"},
    "revoked": {"celery__task__state": "revoked"},
    "expired": {"celery__task__state": "expired"},
    "second-attempt": {"celery__task__state": "success", "celery__task__retries": 1},
    "slow": {"celery__task__state": "success", "seconds": 31.0},
    "waited-long": {"celery__task__state": "success", "celery__task__queue_wait": 61.5},
    "asked-for": {"celery__task__state": "success", "celery__trace__keep": True},
}
NO_REASON = {
    "celery__task__state": "success",
    "celery__task__retries": 0,
    "celery__task__queue_wait": 0.2,
    "seconds": 29.0,
}


@pytest.fixture
def sampler(otelcol: Path, tmp_path: Path, backend: Receiver) -> Iterator[Collector]:
    """A Collector that keeps nothing without a reason."""
    collector = Collector(otelcol, tmp_path, environ={"TRACES_ENDPOINT": backend.url, **NOTHING})
    with collector.running():
        yield collector


def test_what_has_a_reason_is_kept_whole_and_nothing_else(sampler: Collector, backend: Receiver):
    wanted, others = {}, []
    for marks in REASONS.values():
        sent = publish()
        ran = process(parent=sent, **marks)  # type: ignore[arg-type]
        wanted[sent.trace_id] = {sent.span_id, ran.span_id}
        sampler.send(sent, service="shop-web")
        sampler.send(ran)
        other = publish()
        others.append(other.trace_id)
        sampler.send(other, service="shop-web")
        sampler.send(process(parent=other, **NO_REASON))  # type: ignore[arg-type]
    eventually(lambda: by_trace(backend.spans) == wanted, 30)
    eventually(lambda: forgotten(sampler) >= len(others), 30)
    assert by_trace(backend.spans) == wanted


def test_a_reason_that_comes_after_the_trace_was_forgotten_still_counts(
    sampler: Collector, backend: Receiver
):
    """A task may wait or run longer than any decision_wait; its span is kept all the same."""
    parents = [publish() for _ in REASONS]
    sampler.send(*parents, service="shop-web")
    eventually(lambda: forgotten(sampler) >= len(parents), 30)
    assert not backend.spans
    late = [
        process(parent=parent, **marks)  # type: ignore[arg-type]
        for parent, marks in zip(parents, REASONS.values(), strict=True)
    ]
    sampler.send(*late)
    wanted = {span.trace_id: {span.span_id} for span in late}
    eventually(lambda: by_trace(backend.spans) == wanted, 30)


def test_what_comes_later_of_a_kept_trace_is_kept_too(sampler: Collector, backend: Receiver):
    sent = publish()
    failed = process(parent=sent, error="boom", celery__task__state="failure")
    sampler.send(failed)
    eventually(lambda: sent.trace_id in by_trace(backend.spans), 30)
    other = publish()
    sampler.send(other)
    eventually(lambda: forgotten(sampler) >= 1, 30)
    sampler.send(sent, service="shop-web")
    whole = {sent.trace_id: {sent.span_id, failed.span_id}}
    eventually(lambda: by_trace(backend.spans) == whole, 30)


def test_about_the_share_that_was_asked_for_is_kept_of_the_rest(
    otelcol: Path, tmp_path: Path, backend: Receiver
):
    environ = {"TRACES_ENDPOINT": backend.url, "TAIL_BASELINE_PERCENT": "10"}
    collector = Collector(otelcol, tmp_path, environ=environ)
    count = 3000
    parents = [publish() for _ in range(count)]
    failed = [
        process(trace_id=secrets.token_bytes(16), error="boom", celery__task__state="failure")
        for _ in range(50)
    ]
    with collector.running():
        for start in range(0, count, 500):
            some = parents[start : start + 500]
            collector.send(*some, service="shop-web")
            collector.send(*(process(parent=parent, **NO_REASON) for parent in some))  # type: ignore[arg-type]
        collector.send(*failed)
        eventually(lambda: forgotten(collector) >= 0.85 * count, 60)
        eventually(lambda: {span.trace_id for span in failed} <= set(by_trace(backend.spans)), 30)
        kept = by_trace(backend.spans)
    for span in failed:
        kept.pop(span.trace_id)
    # 300 expected with a standard deviation of 16; a wrong rate would be far off.
    assert 220 <= len(kept) <= 380
    assert {len(spans) for spans in kept.values()} == {2}


def test_all_is_kept_unless_told(otelcol: Path, tmp_path: Path, backend: Receiver):
    collector = Collector(otelcol, tmp_path, environ={"TRACES_ENDPOINT": backend.url})
    sent: list[Span] = [process(celery__task__state="success") for _ in range(100)]
    with collector.running():
        collector.send(*sent)
        eventually(lambda: len(by_trace(backend.spans)) == 100, 30)


def test_when_too_many_wait_the_oldest_are_forgotten_and_the_page_tells(
    otelcol: Path, tmp_path: Path, backend: Receiver
):
    """What came, was not judged and does not wait: the alert counts on this difference."""
    environ = {"TRACES_ENDPOINT": backend.url, "TAIL_NUM_TRACES": "10", **NOTHING}
    collector = Collector(otelcol, tmp_path, environ=environ | {"TAIL_DECISION_WAIT": "120s"})
    parents = [publish() for _ in range(100)]
    with collector.running():
        for parent in parents:  # within a request there is no order
            collector.send(parent)
        eventually(lambda: told(collector, "sampling_traces_on_memory") == 10, 30)
        assert told(collector, "new_trace_id_received_total") == 100
        assert told(collector, "global_count_traces_sampled_total") == 0
        failed = [process(parent=one, error="boom") for one in (parents[0], parents[-1])]
        collector.send(*failed)
        early, late = ({failed[0].span_id}, {parents[-1].span_id, failed[1].span_id})
        wanted = {parents[0].trace_id: early, parents[-1].trace_id: late}
        eventually(lambda: by_trace(backend.spans) == wanted, 30)


def test_sampling_does_not_change_what_is_counted(sampler: Collector):
    sampler.send(*(process(celery__task__state="success") for _ in range(200)))

    def counted() -> bool:
        calls = {
            name: value
            for name, value in sampler.scraped().items()
            if name.startswith("traces_span_metrics_calls_total")
        }
        return list(calls.values()) == [200]

    eventually(counted, 30)


def forgotten(collector: Collector) -> float:
    """Traces that were given up after decision_wait, for want of a reason."""
    return told(collector, "global_count_traces_sampled_total", 'sampled="false"')


def told(collector: Collector, name: str, label: str = "") -> float:
    """Return what the sampler says about itself, summed over labels."""
    return sum(
        value
        for series, value in collector.scraped("OTELCOL_TELEMETRY_PORT").items()
        if series.startswith(f"otelcol_processor_tail_sampling_{name}") and label in series
    )
