"""What happened in the shop, by its own books, and what do the services say of it?"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import Any

from collector.native.stack import Stack
from otel_celery import conventions as c

SALE = 25  # reservations of one sale
PARCEL = 3  # items of one parcel
Outcomes = Counter[tuple[str, str]]
"""(task, state) -> how many deliveries ended so."""


def ask(url: str, **parameters: object) -> Any:
    """Return what an HTTP API answers, as JSON."""
    asked = f"{url}?{urllib.parse.urlencode(parameters)}" if parameters else url
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


@dataclass(frozen=True)
class Day:
    """A stack behind a shop that has closed; everything but web and beat still runs."""

    stack: Stack
    books: dict[str, list[int]]
    ticks: int  # entries that beat sent, by its log

    @property
    def prometheus(self) -> str:
        return self.stack.url("prometheus", 9090)

    @property
    def jaeger(self) -> str:
        return self.stack.url("jaeger", 16686)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query, each with `metric` and `value`."""
        found = ask(f"{self.prometheus}/api/v1/query", query=expression)
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def value(self, expression: str) -> float:
        """Return the one number that a query gives; 0 where there is none."""
        series = self.query(expression)
        assert len(series) <= 1, series
        return float(series[0]["value"][1]) if series else 0.0

    def outcomes(self) -> Outcomes:
        """Return what Prometheus counted, of every worker that there was."""
        found: Outcomes = Counter()
        for series in self.query(
            "sum by (celery_task_name, celery_task_state) (celery_task_outcomes_total) > 0"
        ):
            labels = series["metric"]
            key = labels["celery_task_name"], labels["celery_task_state"]
            found[key] = round(float(series["value"][1]))
        return found

    def expected(self) -> Outcomes:
        """Return what must have become of every delivery, by what was ordered."""
        took = {wish: len(numbers) for wish, numbers in self.books.items()}
        again = sum(number % 2 for number in self.books["basket"])  # a busy mail server
        found: Outcomes = Counter({
            ("shop.reserve_stock", c.SUCCESS): took["basket"] + SALE * took["sale"],
            ("shop.charge_card", c.SUCCESS): took["basket"],
            ("shop.charge_card", c.FAILURE): took["yacht"],
            ("shop.send_receipt", c.SUCCESS): took["basket"],
            ("shop.send_receipt", c.RETRY): again,
            ("shop.pick_item", c.SUCCESS): PARCEL * took["parcel"],
            ("shop.pack_parcel", c.SUCCESS): took["parcel"],
            ("shop.render_invoice", c.SUCCESS): took["invoice"],
            ("shop.remind_customer", c.SUCCESS): took["reminder"],
            ("shop.apply_voucher", c.FAILURE): took["voucher"],
            ("shop.resize_photo", c.LOST): took["photo"],
            ("shop.book_courier", c.TIMEOUT): took["courier"],
            ("shop.print_label", c.REQUEUED): took["label"],
            ("shop.print_label", c.SUCCESS): took["label"],
            ("shop.count_stock", c.SUCCESS): self.ticks,
        })  # fmt: skip
        return +found

    def traces(self, task: str, limit: int = 200) -> list[dict[str, Any]]:
        """Return the traces in Jaeger that have a process span of a task."""
        found = ask(
            f"{self.jaeger}/api/traces",
            service="shop-worker", operation=f"process {task}", limit=limit, lookback="1h",
        )  # fmt: skip
        traces: list[dict[str, Any]] = found["data"]
        return traces


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span as Jaeger tells them."""
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def line_of_services(trace: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (service, span's name) of a trace by start time."""
    processes = trace["processes"]
    return [
        (processes[span["processID"]]["serviceName"], span["operationName"])
        for span in sorted(trace["spans"], key=lambda span: span["startTime"])
    ]
