"""Which trace is worth a look, and how do its spans lie in time?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from otel_celery.view.records import Span


class Bar(NamedTuple):
    """One line of a waterfall; `left` and `right` are shares of the trace's length."""

    span: Span
    depth: int  # 0: a root
    left: float
    right: float


def is_complete(spans: Mapping[str, Span]) -> bool:
    """Tell whether a trace leads from a caller over a publish to the task that it caused."""
    return any(
        publish.kind == "producer"
        and (caller := spans.get(publish.parent_id)) is not None
        and not caller.parent_id
        for process in spans.values()
        if process.kind == "consumer" and (publish := spans.get(process.parent_id)) is not None
    )


def pick(traces: Iterable[Mapping[str, Span]]) -> Sequence[Span]:
    """Return the spans of the complete trace that shows most; empty when there is none.

    Most: different spans, then spans at all, then the shortest time, whose bars are widest. Of
    equal ones the first stays, so that the picture does not jump about.
    """
    best = max(
        (spans for spans in traces if is_complete(spans)),
        key=lambda spans: (
            len({(span.name, span.service) for span in spans.values()}),
            len(spans),
            -length(spans.values()),
            -min(span.start for span in spans.values()),
        ),
        default={},
    )
    return list(best.values())


def length(spans: Collection[Span]) -> float:
    """Return seconds from the first start to the last end."""
    return max(span.end for span in spans) - min(span.start for span in spans)


def lay_out(spans: Sequence[Span]) -> list[Bar]:
    """Return the spans as lines: every child below its parent, by start.

    A span whose parent has not arrived stands as a root.
    """
    if not spans:
        return []
    begin = min(span.start for span in spans)
    whole = max(length(spans), 1e-9)
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in reversed(sorted(spans, key=lambda span: span.start)):  # the next one stands last
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    bars = []
    todo = [(0, span) for span in children.pop("", [])]
    while todo:
        depth, span = todo.pop()
        left, right = (span.start - begin) / whole, (span.end - begin) / whole
        bars.append(Bar(span, depth, left, max(left, right)))
        todo += [(depth + 1, child) for child in children.pop(span.span_id, [])]
    return bars
