"""Has every fault that we promise something for been tried, or a reason why not?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS, Fault
from tests.faults.results import KEPT, kept
from tests.faults.sides import OURS

MARKED = re.compile(r"""mark\.fault\(\s*"([a-z0-9-]+)"\s*\)""")
TESTS = sorted(Path(__file__).parent.glob("test_*.py"))


def test_no_fault_stands_twice() -> None:
    assert len({fault.id for fault in FAULTS}) == len({fault.name for fault in FAULTS})
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.id for fault in FAULTS])
def test_a_fault_was_tried_or_says_why_not(fault: Fault) -> None:
    results = kept(fault)
    assert (results is None) == bool(fault.untried)
    assert results is None or any(OURS in values for values in results["figures"].values())


def test_tests_and_results_are_of_faults_that_are_promised_something() -> None:
    tried = {fault.id for fault in FAULTS if not fault.untried}
    assert {id_ for path in TESTS for id_ in MARKED.findall(path.read_text())} == tried
    assert {path.stem for path in KEPT.glob("*.json")} == tried
