"""What is a rule, and how is it written down for Prometheus?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Recording:
    """A query whose answer is kept under a name, for dashboards and alerts."""

    name: str
    says: str
    expr: str

    def as_yaml(self) -> dict[str, Any]:
        return {"record": self.name, "expr": self.expr}


HEAD = "# Written by `python -m collector.catalogue`: change collector/catalogue/ instead.\n"
INTERVAL = "30s"


class _Text(yaml.SafeDumper):
    """Writes queries of several lines as blocks."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Text.add_representer(str, _block)


def as_text(content: Any) -> str:
    """Return YAML that reads like what people write."""
    body = yaml.dump(content, Dumper=_Text, sort_keys=False, width=1000, allow_unicode=True)
    return HEAD + body


def rule_file(groups: Mapping[str, Sequence[Any]]) -> str:
    """Return a rule file: rules of one group see the answers of those before them."""
    return as_text({
        "groups": [
            {"name": name, "interval": INTERVAL, "rules": [rule.as_yaml() for rule in rules]}
            for name, rules in groups.items()
        ]
    })  # fmt: skip


def names(rules: Iterable[Recording]) -> list[str]:
    return [rule.name for rule in rules]
