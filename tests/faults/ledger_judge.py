"""Is what the telemetry tells what the books say?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tests.faults.books import Books
from tests.faults.sink import Kept
from tests.worker import harness
from tests.worker.harness import CONSUMER, PRODUCER, Seen

SENT, CONSUMED = "messaging.client.sent.messages", "messaging.client.consumed.messages"
OUTCOMES, HELD = "celery.task.outcomes", "celery.worker.task.count"
LOSSES = (
    "otel_celery.faults", "otel_celery.relay.dropped", "otel_celery.facts.dropped",
    "otel_celery.attribute.overflows",
)  # fmt: skip
Attributes = dict[str, Any]


class Totals(NamedTuple):
    """Sums over all processes that there were, the ended ones included."""

    points: dict[str, list[tuple[Attributes, float]]]
    apart: list[str]  # moments at which a worker's own ledger did not close
    left: list[str]  # what the last word of each worker said to be at hand

    def of(self, metric: str, by: str) -> Counter[Any]:
        """Return a counter's sum for each value of an attribute, None where it is not there."""
        sums: Counter[Any] = Counter()
        for attributes, value in self.points[metric]:
            if value:
                sums[attributes.get(by)] += int(value)
        return sums


def totals(kept: Kept) -> Totals:
    """Return the newest value of each series of each process; a restart begins it anew."""
    newest: dict[tuple[str, int, str], tuple[Attributes, float]] = {}
    apart, hands = [], {}
    for request in kept.metrics:
        now: dict[str, float] = defaultdict(float)
        first = 1 << 64
        for by_resource in request.resource_metrics:
            instance = harness.plain(by_resource.resource.attributes)["service.instance.id"]
            for metric in (one for each in by_resource.scope_metrics for one in each.metrics):
                if metric.name not in (SENT, CONSUMED, OUTCOMES, HELD, *LOSSES):
                    continue
                for point in metric.sum.data_points:
                    attributes = harness.plain(point.attributes)
                    value = point.as_int or point.as_double
                    start = point.start_time_unix_nano
                    if metric.name == CONSUMED:  # the first message that this worker got
                        first = min(first, start)
                    now[metric.name] += value
                    series = repr((metric.name, instance, sorted(attributes.items())))
                    newest[series, start, metric.name] = attributes, value
            if CONSUMED in now:
                if now[CONSUMED] != now[OUTCOMES] + now[HELD]:
                    apart.append(f"{instance}: {dict(now)}")
                hands[instance, first] = now[HELD]
    points = defaultdict(list)
    for (_, _, name), point in newest.items():
        points[name].append(point)
    return Totals(points, apart, [f"{who}: {held}" if held else "" for who, held in hands.items()])


def judge(books: Books, kept: Kept) -> list[str]:
    """Compare span by span and counter by counter; return every difference in words."""
    spans = {one.id: one for one in harness.spans(kept)}  # a retried batch comes twice
    return [
        *_bodies(books, spans),
        *_deliveries(books, spans),
        *_parents(books, spans),
        *_counters(books, totals(kept)),
    ]


def figures(books: Books, kept: Kept, *, told: bool) -> dict[str, str]:
    """Return the figures of a run for the table; `told` where deliveries and counts are told."""
    spans = {one.id: one for one in harness.spans(kept)}
    process = {id_ for id_, one in spans.items() if one.span.kind == CONSUMER}
    inner = {one.parent for one in spans.values() if one.span.name == "inner"}
    published = {one.id for one in spans.values() if one.span.kind == PRODUCER}
    runs = books.bodies()
    orphans = sum(spans[id_].parent not in published for id_ in process)
    found = {
        "messages planned": str(len(books.plan())),
        "bodies that ran": str(len(runs)),
        "of these, with their process span": str(sum(run.span in process for run in runs)),
        "of these, with their child span": str(sum(run.span in inner for run in runs)),
        "process spans without their publish span": str(orphans),
    }
    if told:
        deliveries, metrics = books.deliveries(), totals(kept)
        states = Counter(one.state for one in deliveries)
        counted = metrics.of(OUTCOMES, "celery.task.state")
        of_books = Counter(call.id for call in books.sent() if call.known and not call.error)
        came = {one.id for one in deliveries}
        fresh = Counter(one.id for one in deliveries if not one.redelivered)
        found |= {
            "deliveries in the books": str(len(deliveries)),
            "counted as consumed": str(metrics.of(CONSUMED, "celery.task.redelivered").total()),
            "outcomes counted": str(counted.total()),
            "states": ", ".join(f"{name} {number}" for name, number in states.most_common()),
            "outcomes under another state than in the books": str((counted - states).total()),
            "sends within which the process was killed": str(
                sum(not call.known for call in books.sent())
            ),
            "sent, and never came": str(len(of_books.keys() - came)),
            "sent, and came as redelivered only": str(len((of_books - fresh).keys() & came)),
            "came without a send that succeeded, or twice": str((fresh - of_books).total()),
        }
    return found


def _bodies(books: Books, spans: dict[str, Seen]) -> Iterator[str]:
    """Each run of a body has its span, and the span that it made stands under that."""
    inner = Counter(one.parent for one in spans.values() if one.span.name == "inner")
    runs = {run.span: run for run in books.bodies()}
    for run in runs.values():
        one = spans.get(run.span)
        if one is None:
            yield f"no span of a body that ran: {run}"
            continue
        told = one.attributes
        found = (
            told["messaging.message.id"], told.get("celery.task.retries", 0),
            told.get("celery.task.redelivered", False), told["process.pid"],
        )  # fmt: skip
        if found != run[:4] or one.trace != run.trace:
            yield f"another span than the body's: {run}, {found}"
        if run.end and inner[run.span] != 1:
            yield f"{inner[run.span]} child spans of {run}"
    yield from (f"child span of no body: {parent}" for parent in inner.keys() - runs.keys())


def _deliveries(books: Books, spans: dict[str, Seen]) -> Iterator[str]:
    """Each delivery that was not returned has one process span with its state, and no more."""
    noted = Counter(one for one in books.deliveries() if one.state != "returned")
    told = Counter(
        (
            one.attributes["messaging.message.id"],
            one.attributes.get("celery.task.retries", 0),
            one.attributes.get("celery.task.redelivered", False),
            one.attributes["celery.task.state"],
        )
        for one in spans.values()
        if one.span.kind == CONSUMER
    )
    kinds = books.plan()
    yield from (f"not told: {one} {kinds.get(one[0])}" for one in _more(noted, told))
    yield from (f"not in the books: {one} {kinds.get(one[0])}" for one in _more(told, noted))


def _more(these: Counter[Any], than: Counter[Any]) -> Iterable[Any]:
    return (Counter(map(tuple, these.elements())) - Counter(map(tuple, than.elements()))).elements()


def _parents(books: Books, spans: dict[str, Seen]) -> Iterator[str]:
    """Each process span hangs under a publish span that came.

    But for those of which a process was killed within the call: it could not tell of it any more.
    """
    published = {one.id for one in spans.values() if one.span.kind == PRODUCER}
    untold = {call.id for call in books.sent() if not call.known}
    for one in spans.values():
        lost = one.span.kind == CONSUMER and one.parent not in published
        if lost and one.attributes["messaging.message.id"] not in untold:
            yield f"an orphan: {one.attributes}"


def _counters(books: Books, metrics: Totals) -> Iterator[str]:
    """Sums are those of the books, and a worker's own ledger closes at every moment."""
    deliveries, calls = books.deliveries(), books.sent()
    wanted: dict[tuple[str, str], Counter[Any]] = {
        (OUTCOMES, "celery.task.state"): Counter(one.state for one in deliveries),
        (CONSUMED, "celery.task.redelivered"): Counter(
            one.redelivered or None for one in deliveries
        ),
        (SENT, "error.type"): Counter(call.error or None for call in calls if call.known),
    }
    for (metric, by), noted in wanted.items():
        told = metrics.of(metric, by)
        if metric == SENT:  # a process was killed within the call: told or not, both are true
            noted[None] += min(
                max(told[None] - noted[None], 0), sum(not call.known for call in calls)
            )
        if told != noted:
            yield f"{metric}: told {told - noted} too many, {noted - told} too few of {told}"
    yield from (f"{metric}: {told}" for metric in LOSSES if (told := metrics.points[metric]))
    yield from (f"consumed is not outcomes and at hand: {words}" for words in metrics.apart)
    yield from (f"still at hand: {words}" for words in metrics.left if words)
