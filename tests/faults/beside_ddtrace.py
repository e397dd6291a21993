"""Switches ddtrace on, where COMPANY names it: imported before anything else."""

import os
import sys

if "ddtrace" in os.environ.get("COMPANY", ""):
    sys.path.append(os.environ["DDTRACE_AT"])  # behind what is installed
    import ddtrace.auto  # noqa: F401
