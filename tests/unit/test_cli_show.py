from __future__ import annotations

import io

import pytest

from otel_celery.cli import show as module
from otel_celery.cli.show import PLAIN_PAUSE, LiveShow, PlainShow
from otel_celery.errors import MissingExtra
from otel_celery.view.store import Store


def test_a_log_gets_every_phase_and_a_sign_of_life_now_and_then():
    now = [100.0]
    out = io.StringIO()
    with PlainShow(out, ["broker: files"], lambda: now[0]) as show:
        show.tell("selling", "0 of 9 s")
        show.tell("selling", "1 of 9 s")
        now[0] += PLAIN_PAUSE
        show.tell("selling", "5 of 9 s")
        show.tell("closing", "0 of 2 s")
    assert out.getvalue().splitlines() == [
        "otel-celery demo: broker: files",
        "otel-celery demo: selling: 0 of 9 s",
        "otel-celery demo: selling: 5 of 9 s",
        "otel-celery demo: closing: 0 of 2 s",
    ]


def test_without_rich_the_command_that_brings_it_is_named(monkeypatch):
    monkeypatch.setattr(module, "HAS_RICH", False)
    with pytest.raises(MissingExtra, match=r"pip install 'otel-celery\[demo\]', or ask for --json"):
        LiveShow([], Store().snapshot)
