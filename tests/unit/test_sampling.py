"""Is this span kept?"""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.sdk.trace.sampling import Decision as Verdict
from opentelemetry.trace import SpanKind, TraceState, get_current_span

from otel_celery.envelope import NO_PARENT, Trace
from otel_celery.sampling import Decider, Decision, context_of, span_context
from tests.unit.stand_ins import SENDER

KEPT, DROPPED = Decision(True, "", {}), Decision(False, "", {})
UNSAMPLED = SENDER._replace(sampled=False)
ROOT = SENDER._replace(span_id=NO_PARENT)
LOW, HIGH = "0" * 31 + "1", "f" * 32


class Rule(Sampler):
    """A sampler of the user's own, which notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def should_sample(self, parent_context: Any, *told: Any, **more: Any) -> SamplingResult:
        self.asked.append((get_current_span(parent_context).get_span_context(), *told))
        return SamplingResult(
            Verdict.RECORD_AND_SAMPLE, {"sampled.by": "rule"}, TraceState([("s", "1")])
        )

    def get_description(self) -> str:
        return "Rule"


def decide(
    sampler: Sampler | None, parent: Trace | None, trace_id: str = SENDER.trace_id
) -> Decision:
    return Decider(sampler)(parent, trace_id, "process pay", SpanKind.CONSUMER, {"queue": "mail"})


@pytest.mark.parametrize(
    ("parent", "decision"),
    [
        pytest.param(None, KEPT, id="root"),
        pytest.param(SENDER, KEPT, id="sampled-parent"),
        pytest.param(UNSAMPLED, DROPPED, id="unsampled-parent"),
        pytest.param(SENDER._replace(state="a=1"), Decision(True, "a=1", {}), id="state"),
    ],
)
def test_the_usual_sampler_is_answered_without_asking_it(parent: Trace | None, decision: Decision):
    """And gives what the SDK's own would, which only hands the attributes back."""
    assert decide(None, parent) == decision
    assert decide(ParentBased(ALWAYS_ON), parent)[:2] == decision[:2]


@pytest.mark.parametrize(
    ("sampler", "parent", "trace_id", "decision"),
    [
        pytest.param(ALWAYS_ON, UNSAMPLED, SENDER.trace_id, KEPT, id="always-on"),
        pytest.param(ALWAYS_OFF, SENDER, SENDER.trace_id, DROPPED, id="always-off"),
        pytest.param(TraceIdRatioBased(0.5), None, LOW, KEPT, id="ratio-in"),
        pytest.param(TraceIdRatioBased(0.5), None, HIGH, DROPPED, id="ratio-out"),
        pytest.param(ParentBased(ALWAYS_OFF), None, SENDER.trace_id, DROPPED, id="root-off"),
        pytest.param(ParentBased(ALWAYS_OFF), SENDER, SENDER.trace_id, KEPT, id="parent-on"),
        pytest.param(
            ParentBased(ALWAYS_OFF), ROOT, SENDER.trace_id, DROPPED, id="a-root-of-the-trace"
        ),
    ],
)
def test_any_other_sampler_is_asked(
    sampler: Sampler, parent: Trace | None, trace_id: str, decision: Decision
):
    assert decide(sampler, parent, trace_id)[:2] == decision[:2]


def test_a_sampler_is_told_all_that_is_known_and_what_it_adds_is_kept():
    rule = Rule()
    assert decide(rule, SENDER) == Decision(True, "s=1", {"sampled.by": "rule"})
    trace_id = int(SENDER.trace_id, 16)
    kind, attributes = SpanKind.CONSUMER, {"queue": "mail"}
    assert rule.asked == [(span_context(SENDER), trace_id, "process pay", kind, attributes, ())]


def test_a_context_as_text_becomes_one_of_opentelemetry():
    found = span_context(SENDER._replace(state="a=1,b=2", sampled=False))
    assert (found.trace_id, found.span_id, found.is_remote, found.trace_flags) == (
        int(SENDER.trace_id, 16),
        int(SENDER.span_id, 16),
        True,
        0,
    )
    assert dict(found.trace_state) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("state", ["", "junk", "=,=;", "A=1"], ids=repr)
def test_a_state_that_means_nothing_harms_nobody(state: str):
    assert span_context(SENDER._replace(state=state)).is_valid


def test_a_context_of_its_own_holds_the_span_alone():
    context = context_of(SENDER)
    assert len(context) == 1
    assert get_current_span(context).get_span_context() == span_context(SENDER)
