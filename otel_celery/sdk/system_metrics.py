"""How much does this process use? The extra `system-metrics` tells, for processes that export."""

from __future__ import annotations

from opentelemetry.metrics import MeterProvider

# Not where it is used: a child that is forked while a thread of its parent imports may hang.
try:
    from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
except ModuleNotFoundError:
    SystemMetricsInstrumentor = None  # type: ignore[assignment, misc]

_ASKED: dict[str, list[str] | None] = {
    "process.cpu.time": ["user", "system"],
    "process.memory.usage": None,
    "process.memory.virtual": None,
    "process.open_file_descriptor.count": None,
    "process.thread.count": None,
    "process.context_switches": ["involuntary", "voluntary"],
}


def observe_process(provider: MeterProvider) -> bool:
    """Report `process.*` of this process; False where the extra is not installed."""
    if SystemMetricsInstrumentor is None:
        return False

    class OfThisProcess(SystemMetricsInstrumentor):
        """One apart from the application's own, which is a singleton with settings of its own."""

        _instance = None
        _is_instrumented_by_opentelemetry = False

    OfThisProcess(config=_ASKED).instrument(
        meter_provider=provider, skip_dep_check=True, raise_exception_on_conflict=False
    )
    return True
