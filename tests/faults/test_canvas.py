"""Is one word said of each message, where one message causes many?"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, OURS, Side
from tests.receiver import Receiver, receiving
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.harness import PRODUCER, Seen

MANY = 10_000
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # a text may name another task
CALLER = f"{1:016x}"  # the span that each canvas is sent in
MESSAGES = 32  # of the nested canvases, as Celery alone sends them


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("nested-canvases")
def test_each_message_of_a_canvas_is_told_once(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    """Celery's own signals say which messages there are; results must be those of Celery alone."""
    found, seen = nested(tmp_path, redis_url, side, receiver)
    measured("messages, by Celery's signals", side, len(found.published))
    if side == ALONE:
        return
    published = [one for one in seen if one.span.kind == PRODUCER]
    process = [one for each in harness.deliveries(seen).values() for one in each]
    measured("publish spans that arrived", side, len(published))
    measured("process spans that arrived", side, len(process))
    known = {CALLER, *(one.id for one in seen)}
    measured("spans whose parent never came", side, sum(
        bool(one.parent) and one.parent not in known for one in seen
    ))  # fmt: skip
    measured("traces", side, f"{len({one.trace for one in seen})} for {len(found.last)} canvases")
    if side == OURS:
        with receiving() as nobody:
            (tmp_path / "alone").mkdir()
            with harness.broker(tmp_path / "alone") as url:
                alone, _ = nested(tmp_path / "alone", url, ALONE, nobody)
        assert found.last == alone.last
        assert len(found.published) == len(alone.published)
        assert ids(published) == Counter(found.published)
        assert ids(process) == Counter(found.began) == Counter(found.published)
        parents = [one.parent for one in process]
        assert len(set(parents)) == len(process)
        assert set(parents) == {one.id for one in published}
        assert {one.parent for one in published} <= {CALLER, *(one.id for one in process)}
        assert len({one.trace for one in seen}) == len(found.last)
        assert harness.points(receiver, "otel_celery.faults") == []


class Nested(NamedTuple):
    """What became of the nested canvases."""

    published: list[str]
    began: list[str]
    last: Mapping[str, Any]


def ids(seen: Iterable[Seen]) -> Counter[str]:
    return Counter(one.attributes["messaging.message.id"] for one in seen)


def nested(folder: Path, url: str, side: Side, receiver: Receiver) -> tuple[Nested, list[Seen]]:
    """Run all nested canvases to their end."""
    environ = sides.environment(side, url, receiver, NOTE_PUBLISHES="1")
    with (
        sides.worker(folder, environ, *sides.QUIET, app="canvas_app") as worker,
        redis.Redis.from_url(environ["CASES_BACKEND"], decode_responses=True) as backend,
    ):
        sent = json.loads(sides.program(environ, "canvas_app.py", "nested"))
        eventually(lambda: backend.llen("began") >= MESSAGES, 120)
        sides.exported(side, receiver, MESSAGES)
        assert worker.stop() == 0
        last = {}
        for name, of in sent.items():
            texts = [backend.get(f"celery-task-meta-{id_}") or "{}" for id_ in of]
            stored = [json.loads(UUID.sub("id", text)) for text in texts]
            last[name] = [(one.get("status"), one.get("result")) for one in stored]
        return Nested(
            backend.lrange("published", 0, -1), backend.lrange("began", 0, -1), last
        ), harness.spans(receiver)


@pytest.mark.long
@pytest.mark.parametrize("side", sides.SIDES)
@pytest.mark.fault("group-of-10000")
def test_a_large_group_costs_each_message_no_more(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    spent, sent = {}, []
    for number in (MANY // 10, MANY):
        said = json.loads(sides.program(environ, "canvas_app.py", "group", str(number)))
        spent[number] = said["seconds"] / number * 1e6
        sent += said["ids"]
    few, many = spent.values()
    measured("CPU of a message in a group of 1,000, of 10,000", side, f"{few:.0f}, {many:.0f} µs")
    if side == ALONE:
        return
    with sides.worker(tmp_path, environ, *sides.QUIET, app="canvas_app") as worker:
        sides.drained(redis_url)
        sides.exported(side, receiver, len(sent))
        assert worker.stop() == 0
    seen = harness.spans(receiver)
    published = [one for one in seen if one.span.kind == PRODUCER]
    process = harness.deliveries(seen)
    measured("publish spans that arrived", side, f"{len(published):,} of {len(sent):,}")
    measured("process spans that arrived", side, f"{len(process):,} of {len(sent):,}")
    if side == OURS:
        assert ids(published) == Counter(sent)
        assert {id_: len(process[id_]) for id_ in sent} == dict.fromkeys(sent, 1)
        assert many < 3 * few
