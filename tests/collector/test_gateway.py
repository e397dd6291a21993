"""Agents beside the workers, two gateways that judge: every trace whole in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.collector.collectors import Collector, by_trace, process, publish
from tests.collector.test_metrics import gauge
from tests.receiver import Receiver, receiving
from tests.services import HOST
from tests.waiting import eventually

pytestmark = pytest.mark.stack

COUNT = 60


class Tier(NamedTuple):
    """Two agents, two gateways, each gateway with a backend of its own to tell them apart."""

    agents: list[Collector]
    gateways: list[Collector]
    backends: list[Receiver]


@pytest.fixture
def tier(otelcol: Path, tmp_path: Path) -> Iterator[Tier]:
    """All of it, made; the agents run, the gateways are started by the test."""
    with ExitStack() as stack:
        backends = [stack.enter_context(receiving()) for _ in range(2)]
        gateways = [
            Collector(
                otelcol,
                tmp_path / f"gateway{number}",
                environ={
                    "TRACES_ENDPOINT": backend.url,
                    "TAIL_BASELINE_PERCENT": "0",
                    # The two ends of a trace come by two agents, each with a delay of its own.
                    "TAIL_DECISION_WAIT": "120s",
                },
            )
            for number, backend in enumerate(backends)
        ]
        addresses = ",".join(f"{HOST}:{one.environ['OTLP_GRPC_PORT']}" for one in gateways)
        agents = [
            Collector(
                otelcol,
                tmp_path / f"agent{number}",
                ["gateway-agent"],
                {"GATEWAYS": f"[{addresses}]"},
            )
            for number in range(2)
        ]
        for agent in agents:
            stack.enter_context(agent.running())
        yield Tier(agents, gateways, backends)


def send(tier: Tier) -> dict[bytes, set[bytes]]:
    """Publish by one agent, run by the other; return those that failed."""
    failed = {}
    for number in range(COUNT):
        sent = publish()
        error = "boom" if number % 3 == 0 else ""
        ran = process(
            parent=sent, error=error, celery__task__state="failure" if error else "success"
        )
        tier.agents[0].send(sent, service="shop-web")
        tier.agents[1].send(ran)
        if error:
            failed[sent.trace_id] = {sent.span_id, ran.span_id}
    return failed


def counted(tier: Tier, name: str) -> float:
    """Return the sum of a counter over both gateways."""
    return sum(
        value
        for gateway in tier.gateways
        for series, value in gateway.scraped().items()
        if series.startswith(f"{name}{{")
    )


def test_every_trace_is_whole_in_one_gateway_and_counted_once(tier: Tier):
    with tier.gateways[0].running(), tier.gateways[1].running():
        failed = send(tier)

        def arrived() -> None:
            kept = [by_trace(backend.spans) for backend in tier.backends]
            assert kept[0] | kept[1] == failed
            assert not kept[0].keys() & kept[1].keys()
            assert min(len(share) for share in kept) > 0
            assert counted(tier, "traces_span_metrics_calls_total") == 2 * COUNT
            assert counted(tier, "traces_service_graph_request_total") == COUNT

        eventually(arrived, 60)


def test_what_is_meant_for_a_gateway_that_is_away_waits_for_it(tier: Tier):
    with tier.gateways[0].running():
        failed = send(tier)

        def half() -> bool:
            return 0 < len(by_trace(tier.backends[0].spans)) < len(failed)

        eventually(half, 60)
        with tier.gateways[1].running():

            def arrived() -> None:
                kept = [by_trace(backend.spans) for backend in tier.backends]
                assert kept[0] | kept[1] == failed
                assert counted(tier, "traces_span_metrics_calls_total") == 2 * COUNT

            eventually(arrived, 90)


def test_metrics_stay_with_the_agent(tier: Tier):
    agent = tier.agents[0]
    assert agent.post("metrics", gauge("celery.queue.depth", 7, "{message}")).status_code == 200
    eventually(lambda: 'celery_queue_depth{instance="w1",job="shop"}' in agent.scraped(), 30)
