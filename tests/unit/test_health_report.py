"""What does a probe answer?"""

from __future__ import annotations

import pytest

from otel_celery.health.report import DEGRADED, HEALTHY, UNHEALTHY, Finding, Report


@pytest.mark.parametrize(
    ("states", "state", "status"),
    [
        pytest.param([], HEALTHY, 200, id="nothing-to-say"),
        pytest.param([HEALTHY, HEALTHY], HEALTHY, 200, id="healthy"),
        pytest.param([DEGRADED, HEALTHY], DEGRADED, 200, id="degraded-goes-on"),
        pytest.param([DEGRADED, UNHEALTHY, HEALTHY], UNHEALTHY, 503, id="unhealthy"),
    ],
)
def test_a_report_is_as_bad_as_the_worst_of_it(states: list[str], state: str, status: int):
    report = Report([Finding("queue", each, "") for each in states])
    assert (report.state, report.http_status) == (state, status)


def test_as_json_each_check_has_its_figures():
    report = Report(
        [Finding("queue", DEGRADED, "9 ready, more than 5", {"queue": "q", "ready": 9})]
    )
    assert report.as_dict() == {
        "state": "degraded",
        "checks": [
            {
                "check": "queue",
                "state": "degraded",
                "reason": "9 ready, more than 5",
                "queue": "q",
                "ready": 9,
            }
        ],
    }
