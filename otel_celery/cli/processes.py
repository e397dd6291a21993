"""How do the demo's programs start, and how do they end?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

LAST_LINES = 15
STACKS = "Fatal Python error: Aborted"  # so begins what faulthandler writes


class Program:
    """A program in a session of its own, so that Ctrl-C in the terminal is ours to handle.

    Its output goes to a file. At the end of the block it is gone, its children too.

    Args:
        name: for people, and of its file.
        command: program and arguments.
        folder: where it works, and its output goes.
        environ: all its variables.
        ready_word: what it prints when it is ready for work, and for signals.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        ready_word: str = "",
    ) -> None:
        self.name = name
        self._ready_word = ready_word
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environ, "PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        if self.status is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int | None:
        """Return the exit status, or None if it still runs after that time."""
        deadline = time.monotonic() + seconds
        while self.status is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.status

    def is_ready(self) -> bool:
        return self._ready_word in self.log.read_text(errors="replace")

    def abort(self) -> None:
        """End it at once; its last words are then what each of its threads was doing."""
        self._process.send_signal(signal.SIGABRT)
        self.wait(5.0)

    def last_words(self) -> str:
        """Return the end of its output, for a person to read."""
        log, _, stacks = self.log.read_text(errors="replace").partition(STACKS)
        return "\n".join([*log.splitlines()[-LAST_LINES:], *stacks.splitlines()])

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ask_to_stop()
        self.wait(2.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its session: what it left behind
        self._process.wait()
