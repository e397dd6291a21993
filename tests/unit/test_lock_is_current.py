"""What development and CI install is what pyproject.toml asks for."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PIN = re.compile(r"^([a-z0-9-]+)==(\S+?)(?: ; .+?)?( \\)?$", re.MULTILINE)


def pins(lock: str) -> dict[str, set[str]]:
    """Return the versions of each package, which may differ by Python version."""
    found: dict[str, set[str]] = {}
    for name, version, _ in PIN.findall((ROOT / "requirements" / lock).read_text()):
        found.setdefault(name, set()).add(version)
    return found


def unmet(requirement: str, locked: dict[str, set[str]]) -> bool:
    """Say whether the lock lacks a requirement, or has it at a version that does not fit."""
    wanted = Requirement(requirement)
    if wanted.name == PROJECT["name"]:
        return not wanted.extras <= EXTRAS.keys()
    versions = locked.get(wanted.name, set())
    return not versions or not all(
        wanted.specifier.contains(version, prereleases=True) for version in versions
    )


def test_each_requirement_is_locked_at_a_version_that_fits():
    """Extras included."""
    asked = PROJECT["dependencies"] + [item for extra in EXTRAS.values() for item in extra]
    assert [item for item in asked if unmet(item, pins("dev.txt"))] == []


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        pytest.param("celery[redis]>=5.4", False, id="fits"),
        pytest.param("celery<5.6", True, id="one-version-too-new"),
        pytest.param("kombu", True, id="absent"),
        pytest.param("otel-celery[redis]", False, id="extra-of-ours"),
        pytest.param("otel-celery[reddis]", True, id="no-extra-of-ours"),
    ],
)
def test_a_stale_lock_is_noticed(requirement, expected):
    """Each requirement must fit on every Python."""
    assert unmet(requirement, {"celery": {"5.5.3", "5.7.0"}}) is expected


def test_the_tools_own_version_is_the_one_locked():
    """`make lock` writes what the Makefile names."""
    named = re.findall(r"^UV_PIN := uv==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert pins("uv.txt") == {"uv": set(named)}


@pytest.mark.parametrize("lock", ["dev.txt", "uv.txt"])
def test_a_lock_says_what_and_not_where_from(lock):
    """Hashes for everything, addresses for nothing: any index or mirror will do."""
    text = (ROOT / "requirements" / lock).read_text()
    assert [name for name, _, hashed in PIN.findall(text) if not hashed] == []
    assert re.findall(r".*(?:://|--index|--extra-index|--find-links|--trusted).*", text) == []
