from __future__ import annotations

import os
import signal
import sys

from otel_celery.cli.processes import Program
from tests.waiting import eventually

STUBBORN = """
import signal, time

def wait_for_the_bus():
    print("ready", flush=True)
    time.sleep(60)

signal.signal(signal.SIGTERM, signal.SIG_IGN)
wait_for_the_bus()
"""


def test_the_last_words_of_a_program_that_does_not_stop_say_where_it_stands(tmp_path):
    command = [sys.executable, "-c", STUBBORN]
    with Program("stubborn", command, tmp_path, os.environ, "ready") as program:
        eventually(program.is_ready)
        program.ask_to_stop()
        assert program.status is None
        program.abort()
        assert program.status == -signal.SIGABRT
        first, *rest = program.last_words().splitlines()
    assert first == "ready"
    assert any(line.endswith("in wait_for_the_bus") for line in rest)
