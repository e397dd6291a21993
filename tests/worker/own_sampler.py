"""A sampler as users write them: it keeps what fails by name, and says that it did."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult


class ByName(Sampler):
    """Keeps spans whose name ends with its argument, and those below them."""

    def __init__(self, ending: str) -> None:
        self._ending = ending

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, *_: Any, **__: Any
    ) -> SamplingResult:
        if name.endswith(self._ending):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, {"kept.for": self._ending})
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        return "ByName"


def install(folder: Any) -> None:
    """Make this a distribution whose entry point offers the sampler, for who has it on the path."""
    about = folder / "own_sampler-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-sampler\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[opentelemetry_traces_sampler]\nby_name = own_sampler:ByName\n"
    )
