"""How does `otel-celery status` show what it sees, once or again and again?"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from otel_celery.cli.arguments import build_parser
from otel_celery.cli.snapshot import Look, Snapshot, Worker
from otel_celery.cli.status import age, as_text, fit, run_status
from otel_celery.queues import BrokerReading, QueueReading
from otel_celery.queues.once import Answer

QUEUES = [QueueReading("celery", 12, oldest_age=185.0), QueueReading("mail", 0), BrokerReading(5)]
WORKERS = [
    Worker("w1@host", 7, 7630, "prefork", 4, 16, {"shop.pay": 2}),
    Worker("w2@host", None, None, None, None, None, {}),
]
FULL = """\
redis answered in 12 ms, 5 unacknowledged in all

queue   ready  unacked  delayed  consumers  oldest
celery     12        -        -          -   3m05s
mail        0        -        -          -       -

worker   pid     up     pool  size  prefetch  taken
w1@host    7  2h07m  prefork     4        16      2
w2@host    -      -        -     -         -      0

task      taken
shop.pay      2"""


def snapshot(
    error: str | None = None, workers: Sequence[Worker] | None = None, seconds: float | None = 0.012
) -> Snapshot:
    return Snapshot(0.0, Answer("redis", seconds, error, () if error else QUEUES), workers)


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        pytest.param(snapshot(workers=WORKERS), FULL, id="all"),
        pytest.param(snapshot(), FULL.partition("\n\nworker")[0], id="workers-not-asked"),
        pytest.param(
            snapshot(workers=[]),
            FULL.partition("\n\nworker")[0] + "\n\nno worker answered",
            id="no-worker",
        ),
        pytest.param(snapshot("OSError"), "redis does not answer: OSError", id="down"),
        pytest.param(
            snapshot(seconds=None), "redis: there is no reader for its queues", id="no-reader"
        ),
    ],
)
def test_people_get_tables_in_which_the_unknown_is_a_dash(seen: Snapshot, text: str):
    assert as_text(seen) == text


@pytest.mark.parametrize(
    ("arguments", "seen", "status", "times"),
    [
        pytest.param([], [snapshot()], 0, 1, id="once"),
        pytest.param([], [snapshot("OSError")], 1, 1, id="down"),
        pytest.param(["--watch"], [snapshot("OSError"), snapshot()], 0, 2, id="is-back"),
        pytest.param(["--watch", "5"], [snapshot(), snapshot("OSError")], 1, 2, id="has-gone"),
    ],
)
def test_the_exit_status_says_whether_the_broker_answered_last(
    arguments: list[str],
    seen: list[Snapshot],
    status: int,
    times: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Ctrl-C ends a watch."""
    coming = iter(seen)
    monkeypatch.setattr(Look, "__call__", lambda _: next(coming))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == times:
            raise KeyboardInterrupt

    command = ["status", "--json", "-b", "memory://", *arguments]
    assert run_status(build_parser().parse_args(command), pause) == status
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        one.as_dict() for one in seen
    ]
    if arguments:
        assert pauses == [float((arguments[1:] or [2.0])[0])] * times


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0.4, "0s"), (59.9, "59s"), (185, "3m05s"), (7620, "2h07m"), (349200, "4d01h")],
)
def test_a_duration_is_short(seconds: float | None, text: str | None):
    assert age(seconds) == text


def test_a_name_cannot_command_the_terminal():
    assert fit("a\x1b[2Jb\n") == "a[2Jb"
