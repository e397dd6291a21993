"""What did Prometheus say to a panel, and how do its answers make a table?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector.catalogue.asking import Series
from collector.catalogue.dashboards.model import Json
from collector.catalogue.picture import words

INK, GREY = "#212529", "#495057"


@dataclass(frozen=True)
class Answer:
    """What Prometheus said to one query of a panel."""

    letter: str
    legend: str
    series: Sequence[Series]

    def named(self) -> list[tuple[str, Series]]:
        return [(words.legend(self.legend, one.labels), one) for one in self.series]


Cell = tuple[str, str]


def table_of(panel: Json, answers: Sequence[Answer]) -> tuple[list[str], list[list[Cell]]]:
    """Return titles and rows: answers joined by their labels, as the transformations say."""
    renamed = panel["transformations"][1]["options"]["renameByName"]
    looks = {
        one["matcher"]["options"]: {each["id"]: each["value"] for each in one["properties"]}
        for one in panel["fieldConfig"]["overrides"]
    }
    fields: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for answer in answers:
        name = f"Value #{answer.letter}" if len(answers) > 1 else "Value"
        for one in answer.series:
            labels = tuple(sorted((k, v) for k, v in one.labels.items() if k in renamed))
            fields.setdefault(labels, {})[name] = one.last
    rows = []
    for labels, numbers in fields.items():
        texts = dict(labels)
        row: list[Cell] = []
        for field, title in renamed.items():
            if field.startswith("Value"):
                row.append(cell(numbers.get(field), looks[title]))
            else:
                row.append((texts.get(field, ""), INK))
        rows.append(row)
    return list(renamed.values()), rows


def cell(number: float | None, look: Json) -> Cell:
    """Return a value in its own words, and its colour."""
    if number is None:
        return "", GREY
    tone = words.color(number, look["thresholds"]) if "thresholds" in look else INK
    said = look.get("mappings", [{"options": {}}])[0]["options"].get(f"{number:g}")
    return (said["text"] if said else words.value(number, look["unit"])), tone
