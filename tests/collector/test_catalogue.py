"""What is generated from the catalogue is what lies in the repository."""

from __future__ import annotations

from collector.catalogue.__main__ import stale


def test_generated_files_are_current():
    """If not: `make docs`."""
    assert stale() == []
