"""What does a probe answer?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HEALTHY, DEGRADED, UNHEALTHY = STATES = ("healthy", "degraded", "unhealthy")
"""From best to worst. Who is degraded still works, and somebody should look."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    state: str
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"check": self.check, "state": self.state, "reason": self.reason, **self.figures}


@dataclass(frozen=True)
class Report:
    """What all checks found; as bad as the worst of them."""

    findings: Sequence[Finding]

    @property
    def state(self) -> str:
        return max((one.state for one in self.findings), key=STATES.index, default=HEALTHY)

    @property
    def http_status(self) -> int:
        """200, also where it is degraded: taking it out of service would mend nothing."""
        return 503 if self.state == UNHEALTHY else 200

    def as_dict(self) -> dict[str, Any]:
        """Return what goes out as JSON."""
        return {"state": self.state, "checks": [one.as_dict() for one in self.findings]}
