"""What does a Prometheus answer?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

SECONDS = 30.0


class QueryFailed(Exception):
    """Prometheus did not take a query."""


@dataclass(frozen=True)
class Series:
    """One series of an answer: its labels, and its points as (Unix seconds, value)."""

    labels: dict[str, str]
    points: list[tuple[float, float]]

    @property
    def last(self) -> float:
        return self.points[-1][1]


class Prometheus:
    """Asks over the HTTP API.

    Args:
        url: as `http://127.0.0.1:9090`.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def now(self, expr: str, at: float) -> list[Series]:
        """Return the answer at one moment."""
        answer = self._ask("query", {"query": expr, "time": at})
        if answer["resultType"] == "scalar":
            return [Series({}, [_point(answer["result"])])]
        return [
            Series(one["metric"], [_point(one["value"])])
            for one in answer["result"]
            if "value" in one
        ]

    def over(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """Return the answer from `start` to `end`, one point each `step` seconds."""
        asked = {"query": expr, "start": start, "end": end, "step": step}
        return [
            Series(one["metric"], [_point(point) for point in one["values"]])
            for one in self._ask("query_range", asked)["result"]
            if one.get("values")
        ]

    def parse(self, expr: str) -> Any:
        """Return the syntax tree of a query."""
        return self._ask("parse_query", {"query": expr})

    def exemplars(self, expr: str, start: float, end: float) -> list[dict[str, Any]]:
        """Return the exemplars of the series that a query reads."""
        found = self._ask("query_exemplars", {"query": expr, "start": start, "end": end})
        return [exemplar for one in found for exemplar in one["exemplars"]]

    def _ask(self, what: str, asked: dict[str, Any]) -> Any:
        response = requests.post(f"{self._url}/api/v1/{what}", data=asked, timeout=SECONDS)
        answer = response.json()
        if answer["status"] != "success":
            raise QueryFailed(f"{asked['query']}: {answer['error']}")
        return answer["data"]


def _point(pair: list[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
