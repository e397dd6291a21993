"""The Collector's Go sources are those of its manifest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.native import build
from collector.native.sources import COMPONENT, MANIFEST, moved, version, write
from tests.services import missing


def required() -> set[tuple[str, str]]:
    """Modules and versions that go.mod names."""
    text = (build.SOURCES / "go.mod").read_text()
    return set(re.findall(r"^\t(\S+) (v\S+)", text, re.MULTILINE))


def test_go_mod_asks_for_the_versions_of_the_manifest():
    listed = re.findall(r"^  - gomod: (\S+) (v\S+)$", MANIFEST.read_text(), re.MULTILINE)
    assert listed
    missing = set(listed) - required()
    assert not missing, "run `make collector-sources`"


def test_the_program_has_the_release_as_its_version():
    assert (
        f'Version:     "{version(MANIFEST.read_text())}"' in (build.SOURCES / "main.go").read_text()
    )


def test_one_number_moves_every_component():
    text = moved(MANIFEST.read_text(), "0.165.0")
    assert version(text) == "0.165.0"
    assert {found[1:] for found in COMPONENT.findall(text)} == {
        ("0", "165", "0"),
        ("1", "71", "0"),
    }


@pytest.mark.stack
def test_the_sources_are_what_the_builder_writes(tmp_path: Path):
    try:
        written = write(MANIFEST.read_text(), tmp_path)
    except build.BuildError as why:
        missing(f"the sources cannot be written here: {why}")
    assert contents(written) == contents(build.SOURCES), "run `make collector-sources`"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}
