"""The image is built as everything else is. (No daemon here: it is read, not built.)"""

from __future__ import annotations

import re

from collector.native import build
from tests.collector.collectors import ROOT

TEXT = (ROOT / "Dockerfile").read_text()


def test_it_compiles_with_the_same_flags():
    flags = " ".join(f'"{flag}"' if " " in flag else flag for flag in build.STATIC)
    assert f"{flags} -tags {build.TAGS}" in " ".join(TEXT.replace("\\\n", " ").split())


def test_its_go_is_new_enough():
    found = re.search(r"^FROM golang:(\d+)\.(\d+)", TEXT, re.MULTILINE)
    assert found
    assert tuple(map(int, found.groups())) >= build.needed(build.SOURCES)[:2]


def test_every_file_that_it_copies_is_there_and_not_ignored():
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names == {"src/go.mod", "src/go.sum", "src/", "collector.yaml", "overlays/"}
    assert all((ROOT / name).exists() for name in names)
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert all(name.startswith(tuple(let_in)) for name in names)


def test_it_does_not_run_as_root():
    users = re.findall(r"^USER (\S+)$", TEXT, re.MULTILINE)
    assert users == ["10001:10001"]
    assert TEXT.index("USER ") > TEXT.index("RUN apk")
