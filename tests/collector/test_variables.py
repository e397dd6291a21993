"""The page of the Collector names every variable and every overlay, with their defaults."""

from __future__ import annotations

import re

from tests.collector.collectors import BASE, OVERLAYS, ROOT

PAGE = (ROOT.parent / "docs" / "collector.md").read_text()
ASKED = re.compile(r"\$\{env:([A-Z_]+)(?::-([^}]*))?\}")


def test_every_variable_stands_in_the_table_with_its_default_and_its_file():
    used = {
        (name, default, path.name)
        for path in (BASE, *OVERLAYS.glob("*.yaml"))
        for name, default in ASKED.findall(path.read_text())
    }
    table = PAGE.partition("<!-- variables -->")[2].partition("<!-- end -->")[0]
    row = re.compile(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|.*\| (\S+) \|$", re.MULTILINE)
    assert sorted(row.findall(table)) == sorted(used)


def test_every_overlay_stands_in_the_table():
    section = PAGE.partition("## Overlays")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
    assert named == sorted(path.stem for path in OVERLAYS.glob("*.yaml"))
