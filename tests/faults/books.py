"""What happened, as the app itself wrote it down while it happened, beside all telemetry?

One line of JSON an entry, appended by a single write, so that entries of many processes never mix
and a kill loses at most the one that was not written yet. `BOOKS` names the file.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Pen:
    """Writes entries, from any process."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, *entry: object) -> None:
        """Write one entry: a word for what it is, then what belongs to it."""
        os.write(self._file, json.dumps(entry).encode() + b"\n")


class Sent(NamedTuple):
    """One call of apply_async, as its caller saw it."""

    id: str
    error: str  # class of what it raised, "" where it did not
    known: bool  # False: the process was killed within the call


class Body(NamedTuple):
    """One run of a task's body, in a pool process."""

    id: str
    attempt: int
    redelivered: bool
    pid: int
    span: str  # ids of the span that was current
    trace: str
    end: str  # as the body ended by itself, "" where it was ended


class Delivery(NamedTuple):
    """One delivery, as the worker's main had it."""

    id: str
    attempt: int
    redelivered: bool
    state: str


class Tail:
    """Reads on in books that are still being written."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0

    def __call__(self) -> Iterator[list[Any]]:
        """Yield what was written since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # its rest comes in a moment, and would be taken for a line
                self._read += len(line)
                yield json.loads(line)


class Books:
    """Everything that was written, put in order."""

    def __init__(self, path: Path) -> None:
        self._entries = list(Tail(path)())

    def plan(self) -> dict[str, str]:
        """Return the kind of each planned message, by its id."""
        return {said[1]: said[2] for said in self._entries if said[0] == "planned"}

    def sent(self) -> list[Sent]:
        calls: dict[str, Sent] = {}
        for word, *said in self._entries:
            if word == "sending":
                calls[said[0]] = Sent(said[1], "", False)
            elif word == "sent":
                calls[said[0]] = calls[said[0]]._replace(error=said[1], known=True)
        return list(calls.values())

    def bodies(self) -> list[Body]:
        found: dict[str, Body] = {}
        for word, *said in self._entries:
            if word == "begin":
                found[said[4]] = Body(*said, "")
            elif word == "end":
                found[said[0]] = found[said[0]]._replace(end=said[1])
        return list(found.values())

    def deliveries(self) -> list[Delivery]:
        """Return all deliveries of all workers.

        What Celery forgot with the connection may have run all the same: then its body tells.
        """
        heard: dict[str, dict[str, Any]] = defaultdict(dict)
        for word, number, *said in self._entries:
            if word == "received":
                heard[number]["received"] = said
            elif word == "main":
                heard[number].setdefault(said[0], said[1])
        found = [Delivery(*words["received"], _state(words)) for words in heard.values()]
        accepted = {
            (*words["received"], words["accepted"])
            for words in heard.values()
            if "accepted" in words
        }
        for body in self.bodies():
            if body[:4] not in accepted:
                at = found.index(Delivery(*body[:3], "returned"))
                state = _BY_BODY.get(body.end, "failure")
                found[at] = found[at]._replace(state=state)
        return found


_BY_BODY = {
    "ok": "success", "Retry": "retry", "Ignore": "ignored", "requeued": "requeued",
    "rejected": "rejected", "SystemExit": "lost", "": "lost",
}  # fmt: skip


def _state(heard: Mapping[str, Any]) -> str:
    """Return what became of a delivery, by what Celery told its Request.

    The pool's last word counts. What was never accepted, or has none, was given back or stopped.
    """
    if "refused" in heard:
        return str(heard["refused"])
    if "revoked" in heard:
        return str(heard["revoked"])
    if "timeout" in heard:
        return "timeout"
    how = heard.get("failed", "")
    if "ok" in heard:
        return "success"
    if how in ("Retry", "Ignore"):
        return {"Retry": "retry", "Ignore": "ignored"}[how]
    if how == "Reject":
        return "requeued" if heard["rejected"] else "rejected"
    if "cancelled" in heard and how in ("", "Terminated", "WorkerLostError", "SystemExit"):
        return "requeued" if heard["cancelled"] else "retry"
    if how == "Terminated" or ("terminated" in heard and how):
        return "revoked"
    if how in ("WorkerLostError", "SystemExit"):
        return "requeued" if heard.get("rejected") else "lost"
    if how == "TimeLimitExceeded":
        return "timeout"
    if how:
        return "failure"
    return "silent" if "accepted" in heard else "returned"
