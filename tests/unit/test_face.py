"""What the package promises is what it has."""

from __future__ import annotations

import inspect
import subprocess
import sys

import otel_celery
from otel_celery import errors, queues, settings

PROMISED = {
    "BrokerReading": queues.BrokerReading,
    "ConfigError": errors.ConfigError,
    "MissingExtra": errors.MissingExtra,
    "OtelCeleryError": errors.OtelCeleryError,
    "QueueReader": queues.QueueReader,
    "QueueReading": queues.QueueReading,
    "Settings": settings.Settings,
    "instrument": otel_celery.instrument,
    "uninstrument": otel_celery.uninstrument,
}


def test_the_face_is_what_was_promised() -> None:
    """A name more or less is a change for users."""
    assert {name: getattr(otel_celery, name) for name in otel_celery.__all__} == PROMISED
    assert sorted(otel_celery.__all__) == sorted(PROMISED)


def test_every_error_of_ours_is_on_the_face() -> None:
    """Whoever catches `OtelCeleryError` catches all of them."""
    ours = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    }
    assert ours == {name: kind for name, kind in PROMISED.items() if name in ours}
    assert all(issubclass(kind, errors.OtelCeleryError) for kind in ours.values())


def test_instrument_takes_what_the_documentation_says() -> None:
    """Positional: the app alone."""
    assert str(inspect.signature(otel_celery.instrument)) == (
        "(app: 'Any' = None, *, metric_exporters: 'Sequence[Any]' = (),"
        " readers: 'Sequence[QueueReader]' = (), **settings: 'Any') -> 'None'"
    )


def test_everything_can_be_imported_at_once() -> None:
    """Names that are loaded late are found by a star as well."""
    names = "import sys; before = {*dir()}; from otel_celery import *; print(*{*dir()} - before)"
    done = subprocess.run(
        [sys.executable, "-c", names], capture_output=True, text=True, timeout=60, check=True
    )
    assert sorted(set(done.stdout.split()) - {"before"}) == sorted(PROMISED)


def test_an_unknown_name_is_said_as_python_says_it() -> None:
    """The face's own look-up of names fails as any module's does."""
    assert not hasattr(otel_celery, "instrumentation")
