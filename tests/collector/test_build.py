"""A program is built once for each state of its sources."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from collector.native import build


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources and cache of the test's own."""
    sources = tmp_path / "src"
    sources.mkdir()
    (sources / "go.mod").write_text("module m\n\ngo 1.25.0\n")
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return sources


@pytest.fixture
def built(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was compiled; the compiler only leaves a file."""
    done: list[Path] = []

    def compile_program(sources: Path, target: Path) -> None:
        done.append(target)
        target.write_text("program")

    monkeypatch.setattr(build, "compile_program", compile_program)
    return done


def test_sources_that_did_not_change_are_not_built_again(built: list[Path]):
    first = build.build_collector()
    assert build.build_collector() == first
    assert built == [first]
    assert (first.parent / build.COLLECTOR).resolve() == first


def test_a_change_is_built_and_going_back_is_not(home: Path, built: list[Path]):
    first = build.build_collector()
    (home / "main.go").write_text("package main\n")
    second = build.build_collector()
    (home / "main.go").unlink()
    assert build.build_collector() == first
    assert built == [first, second]
    assert (first.parent / build.COLLECTOR).resolve() == first


def test_a_go_that_is_too_old_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert build.go_version(old) == (1, 19, 8)
    assert build.system_go((1, 25)) is None
    assert build.system_go((1, 19)) == old


def test_a_command_that_fails_shows_its_last_words(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(build.BuildError, match=r"(?s)compiling x.*failed with 3.*no such thing"):
        build.run("compiling x", [sys.executable, "-c", "print('no such thing'); exit(3)"])
    assert "compiling x ..." in capsys.readouterr().err


def test_long_work_says_that_it_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(build, "EVERY", 0.1)
    build.run("compiling x", [sys.executable, "-c", "import time; time.sleep(0.5)"])
    assert capsys.readouterr().err.count("compiling x ... 0 s") >= 2
