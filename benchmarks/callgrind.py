"""How many instructions ran between two marks of a program, in which of its threads?"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.marks import VGDB

_PART = re.compile(r"part\.(\d+)\.(\d+)-(\d+)")  # process, mark, thread
_TOTALS = re.compile(rb"^(?:summary|totals): (\d+)", re.MULTILINE)

Threads = Mapping[int, int]
"""Instructions by thread; 1 is the first of the process, the one that calls."""


def available() -> bool:
    return shutil.which("valgrind") is not None


def run(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, timeout: float = 600
) -> tuple[str, list[Threads]]:
    """Return what a program prints, and for each of its marks what it did since the one before.

    Of a program that forks it is the child that counts, if the child has made marks and the parent
    has not.
    """
    vgdb = shutil.which("vgdb")
    if vgdb is None:
        raise RuntimeError("vgdb, which comes with valgrind, is not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("part.*"):
        old.unlink()
    done = subprocess.run(
        [
            "valgrind", "--quiet", "--tool=callgrind", "--separate-threads=yes",
            "--instr-atstart=no", "--dump-before=getpriority",
            "--trace-children=yes", "--trace-children-skip=*",  # a fork takes orders, too
            f"--callgrind-out-file={folder}/part.%p", *command,
        ],
        env={**environ, VGDB: vgdb}, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    parts: dict[int, dict[int, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for path in folder.glob("part.*"):
        if found := _PART.fullmatch(path.name):  # what came after the last mark has none
            parts[int(found[1])][int(found[2])][int(found[3])] = _total(path)
    if len(parts) != 1:
        raise RuntimeError(f"{len(parts)} processes made marks: {sorted(parts)}")
    (marks,) = parts.values()
    return done.stdout, [marks[number] for number in sorted(marks)]


def parts_of(folder: Path, mark: int) -> list[Path]:
    """Return what `callgrind_annotate` reads of what ended at a mark, first thread first."""
    return sorted(folder.glob(f"part.*.{mark}-*"))


def _total(path: Path) -> int:
    found = _TOTALS.search(path.read_bytes())
    if found is None:
        raise RuntimeError(f"{path} has no total")
    return int(found[1])
