"""Who else instruments Celery here?"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from otel_celery.takeover import propagated_baggage, take_over_contrib


class Contrib:
    """The instrumentor of opentelemetry-instrumentation-celery."""

    def __init__(self, on: bool) -> None:
        self.is_instrumented_by_opentelemetry = on
        self.off = 0

    def uninstrument(self) -> None:
        self.off += 1


@pytest.mark.parametrize(("on", "off"), [(True, 1), (False, 0)], ids=["on", "imported-only"])
def test_contrib_is_switched_off_where_it_is_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, on: bool, off: int
):
    """Two would tell all twice; somebody should know."""
    contrib = Contrib(on)
    module: Any = SimpleNamespace(CeleryInstrumentor=lambda: contrib)
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.celery", module)
    caplog.set_level("INFO", "otel_celery")
    take_over_contrib()
    assert (contrib.off, len(caplog.records)) == (off, off)


def test_contrib_is_not_imported_to_see_whether_it_is_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.instrumentation.celery", raising=False)
    take_over_contrib()
    assert "opentelemetry.instrumentation.celery" not in sys.modules


@pytest.mark.parametrize(
    ("variable", "travels"),
    [
        pytest.param(None, False, id="unset"),
        pytest.param("", False, id="empty"),
        pytest.param("tracecontext", False, id="not-named"),
        pytest.param("tracecontext,baggage", True, id="named"),
        pytest.param(" baggage , b3", True, id="with-spaces"),
        pytest.param("mybaggage", False, id="another-name"),
    ],
)
def test_baggage_travels_only_if_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, travels: bool
):
    """Its usual value names it, which is no wish."""
    if variable is not None:
        monkeypatch.setenv("OTEL_PROPAGATORS", variable)
    found = propagated_baggage()
    assert isinstance(found, W3CBaggagePropagator) is travels
    if found is not None:
        context = found.extract({"baggage": "tenant=a"}, Context())
        assert baggage.get_all(context) == {"tenant": "a"}
