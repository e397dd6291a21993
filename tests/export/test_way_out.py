"""Courier, lane and HTTP together: what arrives when the other side is well, gone or silent."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.resources import Resource

from otel_celery.courier import Courier
from otel_celery.lanes import SpanLane
from otel_celery.lanes.bytes_lane import BytesLane
from otel_celery.lanes.otlp_http import OtlpHttp
from otel_celery.otlp import Envelope
from otel_celery.sdk import build_meter_provider, build_span_lane
from otel_celery.span import CONSUMER, FinishedSpan
from tests.receiver import Answer, Receiver, receiving
from tests.waiting import eventually

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "celery@h"})


class WayOut:
    """A courier with a lane, and the faults that it reported."""

    def __init__(self, lane: SpanLane, interval: float = 0.05) -> None:
        self.faults: list[BaseException] = []
        self.courier = Courier(lambda _, fault: self.faults.append(fault))
        self.lane = lane
        lane.wake = self.courier.every(interval, lane.export)

    def put(self, *span_ids: int) -> None:
        for span_id in span_ids:
            self.lane.put(FinishedSpan("process pay", CONSUMER, 9, span_id, 0, 1, 2, {}))


@pytest.fixture
def way_out(receiver: Receiver) -> Iterator[WayOut]:
    built = WayOut(build_span_lane(RESOURCE))
    yield built
    receiver.released.set()
    built.courier.stop(10)
    built.lane.close()
    assert built.faults == []


def arrived(receiver: Receiver) -> Counter[int]:
    return Counter(int.from_bytes(span.span_id, "big") for span in receiver.spans)


def test_spans_arrive_without_anybody_waiting(receiver: Receiver, way_out: WayOut):
    way_out.courier.start()
    way_out.put(1, 2, 3)
    eventually(lambda: arrived(receiver) == {1: 1, 2: 1, 3: 1})
    (resource_spans,) = receiver.traces[0].resource_spans
    said = {pair.key: pair.value.string_value for pair in resource_spans.resource.attributes}
    assert said == {"service.name": "shop", "service.instance.id": "celery@h"}
    assert resource_spans.scope_spans[0].scope.name == "otel_celery"


def test_many_spans_leave_before_their_time(receiver: Receiver):
    """An interval of an hour is no reason to let thousands wait."""
    way_out = WayOut(build_span_lane(RESOURCE), interval=3600)
    way_out.courier.start()
    way_out.put(*range(1, 600))
    eventually(lambda: len(receiver.spans) >= 512)
    assert way_out.courier.flush(10)
    assert arrived(receiver) == dict.fromkeys(range(1, 600), 1)
    assert way_out.courier.stop(10)


def test_nothing_is_lost_or_doubled_while_the_other_side_is_busy(
    receiver: Receiver, way_out: WayOut
):
    receiver.answers.extend([Answer(503, {"Retry-After": "0"}), Answer(429, {"Retry-After": "0"})])
    way_out.courier.start()
    way_out.put(1)
    eventually(lambda: way_out.lane.counts().sent == 1)
    assert len(receiver.received) == 3
    assert way_out.lane.counts().dropped == {}


def test_collector_that_comes_back_gets_what_waited(monkeypatch: pytest.MonkeyPatch):
    """Its death costs no span that fits the queue."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    envelope = Envelope(dict(RESOURCE.attributes), "otel_celery", "1")
    way_out = WayOut(BytesLane(OtlpHttp.from_env(), envelope, jitter=lambda: 0.05))
    way_out.put(*range(1, 101))
    way_out.courier.start()
    eventually(lambda: way_out.lane.next_attempt_at > -math.inf)
    assert way_out.lane.counts()[::2] == (0, 100)
    with receiving(port) as back:
        eventually(lambda: way_out.lane.counts().sent == 100)
        assert arrived(back) == dict.fromkeys(range(1, 101), 1)
    assert way_out.courier.stop(10)


def test_refused_spans_are_sent_once(receiver: Receiver, way_out: WayOut):
    """No storm of attempts."""
    receiver.answers.extend([Answer(400), Answer(500)])
    way_out.courier.start()
    way_out.put(1)
    eventually(lambda: way_out.lane.counts().dropped == {"refused": 1})
    way_out.put(2)
    eventually(lambda: way_out.lane.counts().dropped == {"refused": 2})
    way_out.put(3)
    eventually(lambda: way_out.lane.counts().sent == 1)
    assert len(receiver.received) == 3


def test_silent_collector_holds_up_a_stop_no_longer_than_its_budget(
    receiver: Receiver, way_out: WayOut
):
    """The spans stay counted as waiting, and are counted as dropped when the lane closes."""
    receiver.answers.append(Answer(stall=True))
    way_out.put(1, 2)
    began = time.monotonic()
    assert way_out.courier.flush(0.2) is False
    assert time.monotonic() - began < 5
    way_out.lane.close()
    assert way_out.lane.counts()[1:3] == ({"closed": 2}, 0)


def test_stop_delivers_the_last_spans(receiver: Receiver, way_out: WayOut):
    """Within one flush, whatever the interval and though no thread ever ran."""
    way_out.put(*range(1, 5001))
    assert way_out.courier.flush(20) is True
    assert arrived(receiver) == dict.fromkeys(range(1, 5001), 1)
    assert max(len(request.body) for request in receiver.received) <= 2 << 20


def test_stop_tries_again_within_its_budget(receiver: Receiver, way_out: WayOut):
    receiver.answers.append(Answer(503, {"Retry-After": "0"}))
    way_out.put(1)
    assert way_out.courier.flush(20) is True
    assert arrived(receiver) == {1: 2}  # the first was answered with 503: not taken


def test_putting_never_waits_for_a_silent_collector(receiver: Receiver, way_out: WayOut):
    """Ten thousand spans go in while a request hangs."""
    receiver.answers.append(Answer(stall=True))
    way_out.courier.start()
    way_out.put(1)
    eventually(lambda: receiver.received)
    way_out.put(*range(2, 10_002))
    assert not receiver.released.is_set()
    assert way_out.lane.counts().waiting == 10_001


def test_metrics_and_spans_leave_in_one_flush(receiver: Receiver, way_out: WayOut):
    metering = build_meter_provider(RESOURCE)
    metering.provider.get_meter("m").create_counter("c").add(1)
    way_out.courier.every(metering.interval, metering.collect)
    way_out.put(1)
    assert way_out.courier.flush(20) is True
    assert (len(receiver.spans), len(receiver.metrics)) == (1, 1)


def test_no_thread_is_left_after_stop(receiver: Receiver, way_out: WayOut):
    way_out.courier.start()
    way_out.put(1)
    eventually(lambda: receiver.spans)
    assert way_out.courier.stop(10)
    assert "otel-celery-courier" not in {thread.name for thread in threading.enumerate()}
