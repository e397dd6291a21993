"""What may a deployment choose?"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from otel_celery.errors import ConfigError
from otel_celery.redaction import redacted

T = TypeVar("T")
Reader = Callable[[object], Any]  # text of a variable, or a value fixed in code -> typed value

ARGUMENT, DEFAULT = "argument", "default"


def seconds(value: object) -> float:
    """Read a duration of 0 or more; 0 mostly means off."""
    return _finite(value, lambda number: number >= 0, "a number of seconds, 0 or more")


def positive_seconds(value: object) -> float:
    """Read a duration above 0."""
    return _finite(value, lambda number: number > 0, "a number of seconds above 0")


def words(value: object) -> tuple[str, ...]:
    """Read a comma separated list, or any iterable of texts; each counts once, in order."""
    parts: Iterable[object]
    if isinstance(value, str):
        parts = value.split(",")
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        parts = tuple(value)
    else:
        parts = (None,)
    found: dict[str, None] = {}
    for part in parts:
        if not isinstance(part, str):
            raise ValueError("names, separated by commas")
        if part.strip():
            found[part.strip()] = None
    return tuple(found)


def subset(*known: str) -> Reader:
    """Read a list like `words`, in which only these may occur."""

    def read(value: object) -> tuple[str, ...]:
        chosen = words(value)
        if not set(chosen) <= set(known):
            raise ValueError(f"any of {', '.join(known)}, separated by commas")
        return chosen

    return read


def one_of(*known: str) -> Reader:
    """Read a word that must be one of these."""

    def read(value: object) -> str:
        if isinstance(value, str) and value.strip() in known:
            return value.strip()
        raise ValueError(f"one of {', '.join(known)}")

    return read


def trace_template(value: object) -> str:
    """Read the address of a trace with a hole for its id; empty means none."""
    if isinstance(value, str) and (not value or "{trace_id}" in value):
        return value
    raise ValueError("a URL that contains {trace_id}")


def dsn(value: object) -> str:
    """Read the address of a Sentry project; empty means none."""
    if isinstance(value, str):
        if not value:
            return value
        try:
            url = urlsplit(value)
        except ValueError:  # its words might quote the secret
            url = urlsplit("")
        project = url.path.rpartition("/")[2]
        if url.scheme in ("http", "https") and url.username and url.hostname and project.isdigit():
            return value
    raise ValueError("https://<key>@<host>/<project number>")


def _finite(value: object, fits: Callable[[float], bool], expected: str) -> float:
    try:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number) and fits(number):
                return number
    except (ValueError, OverflowError):
        pass  # said below, in words of ours
    raise ValueError(expected)


def from_var(var: str, read: Callable[[object], T], default: T, says: str, **more: Any) -> T:
    """Declare a setting: its variable, how to read it, its default, what it says in the docs."""
    row = {"var": var, "read": read, "says": says, **more}
    made: T = field(default=default, metadata=row)
    return made


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """What a deployment may choose. Built once, never changed, never invalid.

    Raises:
        ConfigError: with setting, value and expectation, for all that are wrong at once.
    """

    queue_interval: float = from_var(
        "OTEL_CELERY_QUEUE_INTERVAL", seconds, 15.0,
        "Seconds between two readings of the broker; 0 = off.",
    )  # fmt: skip
    queues: tuple[str, ...] = from_var(
        "OTEL_CELERY_QUEUES", words, (), "Further queues to read, comma separated."
    )
    trace_structure: Literal["parent", "link", "ignore"] = from_var(
        "OTEL_CELERY_TRACE_STRUCTURE", one_of("parent", "link", "ignore"), "parent",
        "What a worker makes of the context in a message: `parent` goes on with it, `link` begins"
        " a new trace with a link to it, `ignore` begins a new trace.",
    )  # fmt: skip
    trace_url: str = from_var(
        "OTEL_CELERY_TRACE_URL", trace_template, "",
        "Address of a trace, such as `https://jaeger.example/trace/{trace_id}`,"
        " shown on Sentry issues.",
    )  # fmt: skip
    names: Literal["semconv", "contrib", "dup"] = from_var(
        "OTEL_CELERY_NAMES", one_of("semconv", "contrib", "dup"), "semconv",
        "`contrib` takes the names of opentelemetry-instrumentation-celery, `dup` both,"
        " so that existing dashboards survive a move.",
    )  # fmt: skip
    capture: tuple[str, ...] = from_var(
        "OTEL_CELERY_CAPTURE", subset("args", "result"), (),
        "What of a task's data is recorded, redacted and cut: `args`, `result`.",
    )  # fmt: skip
    flush_timeout: float = from_var(
        "OTEL_CELERY_FLUSH_TIMEOUT", positive_seconds, 3.0,
        "Seconds that a stopping process may spend on its last export.",
    )  # fmt: skip
    sentry_dsn: str = from_var(
        "SENTRY_DSN", dsn, "", "Errors go to this Sentry project, with the trace id of the task.",
        secret=True,
    )  # fmt: skip
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    """For each setting that is no default: its variable, or `argument`; see `origin`."""

    def __post_init__(self) -> None:
        bad = []
        for item in rows():
            try:
                value = item.metadata["read"](getattr(self, item.name))
            except ValueError as why:
                origin = self.origin(item.name)
                label = item.name if origin in (ARGUMENT, DEFAULT) else origin
                bad.append(f"{label}={_shown(item, getattr(self, item.name))}: expected {why}")
            else:
                object.__setattr__(self, item.name, value)
        if bad:
            raise ConfigError("; ".join(bad))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, /, **given: Any) -> Settings:
        """Read each setting from its argument, else its variable, else its default.

        Args:
            environ: variables; an empty or blank value counts as unset.
            given: settings fixed in code, typed or as text; they win. None is not given.

        Raises:
            ConfigError: with setting, value and expectation, for all that are wrong at once.
        """
        known = {item.name: item for item in rows()}
        bad = [
            f"{name}: no such setting, expected one of {', '.join(known)}"
            for name in given
            if name not in known
        ]
        chosen = {name: v for name, v in given.items() if name in known and v is not None}
        origins = {}
        for name, item in known.items():
            text = environ.get(item.metadata["var"], "").strip()
            if text and name not in chosen:
                chosen[name], origins[name] = text, item.metadata["var"]
        try:
            settings = cls(**chosen, origins={**dict.fromkeys(chosen, ARGUMENT), **origins})
        except ConfigError as more:
            bad.append(str(more))
        if bad:
            raise ConfigError("; ".join(bad))
        return settings

    @property
    def pool_flush(self) -> float:
        """Seconds of the flush timeout for what tasks run in, whose providers go first."""
        return self.flush_timeout / 3

    def origin(self, name: str) -> str:
        """Tell where a value comes from: a variable's name, `argument` or `default`."""
        return self.origins.get(name, DEFAULT)

    def shown(self, name: str) -> str:
        """Return a value as text for people; a secret as `***`."""
        return next(_shown(item, getattr(self, name)) for item in rows() if item.name == name)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{item.name}={self.shown(item.name)}' for item in rows())})"


def rows() -> list[Field[Any]]:
    """List the settings; `metadata` has `var`, `says`, `secret`. Docs and doctor are made of it."""
    return [item for item in fields(Settings) if "var" in item.metadata]


def _shown(item: Field[Any], value: object) -> str:
    return "***" if value and item.metadata.get("secret") else redacted(repr(value))
