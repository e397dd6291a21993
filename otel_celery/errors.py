"""What can be wrong at start?

    OtelCeleryError
    ├── ConfigError     a setting has a value that nothing can be made of
    └── MissingExtra    a setting asks for a package that is not installed

Raised at start only, with the command or variable that mends it. At run, a fault of ours is logged
and counted, and the task goes on.
"""

from __future__ import annotations


class OtelCeleryError(Exception):
    """otel-celery cannot start."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or type(self).__doc__)


class ConfigError(OtelCeleryError, ValueError):
    """A setting has an unusable value."""


class MissingExtra(OtelCeleryError, ImportError):
    """A setting needs a package that is not installed."""
