"""How do spans come under contrib's names into whatever lane there is?"""

from __future__ import annotations

import pytest

from otel_celery.exporter import Exporter
from otel_celery.guard import Guard
from otel_celery.lanes.renamed import Renamed
from otel_celery.settings import Settings
from otel_celery.spans import publish_span
from tests.unit.stand_ins import Lane, published


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param("contrib", "apply_async/shop.pay", id="instead"),
        pytest.param("dup", "publish shop.pay", id="beside"),
    ],
)
def test_spans_of_ours_are_renamed(names: str, expected: str):
    lane = Lane()
    Renamed(lane, names).put(publish_span(published()))
    (span,) = lane.spans
    assert (span.name, span.attributes["celery.task_name"]) == (expected, "shop.pay")


def test_spans_of_the_user_pass_as_they_are():
    lane = Lane()
    Renamed(lane, "contrib").put_encoded(b"request", 3)
    assert lane.requests == [(b"request", 3)]


def exporter(monkeypatch: pytest.MonkeyPatch, names: str | None = None) -> Exporter:
    """Return one that sends nothing and is not started."""
    for signal in ("TRACES", "METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    settings = Settings.from_env({}, names=names, capture=("args",))
    return Exporter(settings, Guard(), "me", "shop", {})


def test_nothing_stands_before_the_lane_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch):
    made = exporter(monkeypatch)
    assert made.speaker.lane is made.lane
    assert made.speaker._capture == ("args",)


@pytest.mark.parametrize("names", ["contrib", "dup"])
def test_the_speaker_is_given_what_renames(monkeypatch: pytest.MonkeyPatch, names: str):
    made = exporter(monkeypatch, names)
    assert isinstance(made.speaker.lane, Renamed)
    assert made.speaker._capture == ("args", "contrib")
