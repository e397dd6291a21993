"""How Sentry is started or joined, and how it ends."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest
import sentry_sdk
from celery.worker import WorkController
from opentelemetry.context import attach, detach

from otel_celery import bootstrap
from otel_celery import sentry as room
from otel_celery.bootstrap import Instrumentation
from otel_celery.facts import Connected
from otel_celery.guard import Guard
from otel_celery.process import Role
from otel_celery.sampling import context_of
from otel_celery.sentry import Errors
from otel_celery.settings import Settings
from otel_celery.voice import Brokers
from tests.unit.sentry_server import DSN, Kept, sentry
from tests.unit.stand_ins import OWN


def errors(dsn: str = "") -> Errors:
    return Errors(Settings(sentry_dsn=dsn), Guard(), Brokers())


def gone(name: str) -> str:
    raise PackageNotFoundError(name)


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(gone, id="missing"),
        pytest.param(lambda name: "2.47.0", id="too-old"),
        pytest.param(lambda name: "1.99", id="major"),
    ],
)
def test_with_a_dsn_no_worker_starts_without_a_package_that_can_use_it(
    monkeypatch: pytest.MonkeyPatch, version: Any
) -> None:
    """It names the command that mends it; a publisher may have the DSN for a Sentry of its own."""
    monkeypatch.setattr(room, "version", version)
    made = Instrumentation(None, Settings(sentry_dsn=DSN), (), ())
    made.errors.link()
    controller = WorkController.__new__(WorkController)
    controller.app = SimpleNamespace(main="shop")
    with pytest.raises(SystemExit, match=r"pip install 'otel-celery\[sentry\]'"):
        made.guard("worker_init", made.on_worker_init)(controller)
    assert made.guard.faults == {}
    errors().require()  # who has no DSN needs no package


@pytest.mark.parametrize("version", ["2.48.0", "2.48.0rc1", "2.100", "3.0.0"])
def test_versions_that_will_do(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(room, "version", lambda name: version)
    assert room._installed()


def test_a_sentry_that_is_too_old_is_left_alone_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "version", lambda name: "2.0")
    caplog.set_level(logging.WARNING)  # a worker of another test may have set another
    made = errors()
    made.begin("w@host")
    made.link()
    assert made.sdk is None
    assert [record.getMessage() for record in caplog.records] == [
        "otel-celery: errors have no trace, this sentry-sdk is too old;"
        " pip install 'sentry-sdk>=2.48'"
    ]


def test_who_does_not_use_sentry_gets_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an import nor a function around tasks."""
    monkeypatch.delitem(sys.modules, "sentry_sdk")
    made, trace = errors(), object()
    made.link()
    made.begin("w@host")
    made.renew()
    with made.flushed(1.0):
        pass
    assert made.sdk is None
    assert "sentry_sdk" not in sys.modules
    assert made.around(None, trace) is trace  # type: ignore[arg-type]
    assert made.guard.faults == {}


def test_a_client_that_is_there_keeps_its_options() -> None:
    """A DSN of ours changes nothing."""
    made = errors("https://other@sentry.example/8")
    with sentry(max_breadcrumbs=7) as events:
        before = sentry_sdk.get_client()
        made.begin("w@host")
        assert sentry_sdk.get_client() is before
        assert before.options["max_breadcrumbs"] == 7
        sentry_sdk.capture_message("at redis://user:secret@host")
    (event,) = events
    assert event["message"] == "at redis://***@host"
    made.close()


def test_without_a_client_it_is_started_as_measured() -> None:
    """No exporter, no propagator, no tracing, no header, no local variables."""
    made, asked = errors(DSN), []
    made._sdk = room._load()
    made._sdk.init = lambda **options: asked.append(options)
    made.begin("w@host")
    ((options,),) = (asked,)
    otlp, celery = options.pop("integrations")
    assert options == {"dsn": DSN, "include_local_variables": False, "shutdown_timeout": 0}
    assert not otlp.setup_otlp_traces_exporter
    assert not otlp.setup_propagator
    assert not celery.propagate_traces
    made.close()


def test_a_publisher_is_linked_and_never_started() -> None:
    """Its errors are the application's own, with the ids of the current span."""
    made = errors(DSN)
    with sentry() as events:
        made.link()
        token = attach(context_of(OWN))
        sentry_sdk.capture_message("at redis://user:secret@host")
        detach(token)
    assert events[0]["contexts"]["trace"] == {"trace_id": OWN.trace_id, "span_id": OWN.span_id}
    assert events[0]["message"] == "at redis://user:secret@host"
    assert not sentry_sdk.get_client().is_active()


def test_a_process_is_linked_again_before_its_first_publish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Django imports the Celery app before the settings, which is where Sentry is started."""
    for name in ("TRACES", "METRICS", "LOGS"):  # a thread that tries in vain would outlive the test
        monkeypatch.setenv(f"OTEL_{name}_EXPORTER", "none")
    made, linked = Instrumentation(None, Settings(), (), ()), []
    assert made.here.on_publisher == made.errors.link
    made.here.on_publisher = lambda: linked.append(made.here.role)
    made.here.tell(Connected(False))
    assert linked == [Role.PUBLISHER]
    made.here.close()


def test_switched_off_it_lets_events_be() -> None:
    made = errors()
    with sentry() as events:
        made.begin("w@host")
        made.close()
        sentry_sdk.capture_message("at redis://user:secret@host")
    assert events[0]["message"] == "at redis://user:secret@host"


def ignored(module: Any) -> list[set[str]]:
    """Return what Sentry ignores: for events, and for its logs where it is new enough."""
    names = "_IGNORED_LOGGERS", "_IGNORED_LOGGERS_SENTRY_LOGS"
    return [getattr(module, name) for name in names if hasattr(module, name)]


@pytest.fixture
def loggers() -> Iterator[Any]:
    """Sentry's module of them, which is put back."""
    from sentry_sdk.integrations import logging as module

    lists = ignored(module)
    before = [set(each) for each in lists]
    for each in lists:
        each.difference_update(room._DOUBLE)
    yield module
    for each, had in zip(lists, before, strict=True):
        each.clear()
        each.update(had)


def test_what_celery_logs_of_killed_tasks_makes_no_event_of_its_own(loggers: Any) -> None:
    """Until it is switched off; what the application ignores stays ignored."""
    lists = ignored(loggers)
    loggers.ignore_logger("multiprocessing")
    before = [set(each) for each in lists]
    made = errors()
    with sentry():
        made.begin("w@host")
        made.begin("w@host")
        for each in lists:
            assert set(room._DOUBLE) <= each
        made.close()
    if hasattr(loggers, "unignore_logger"):  # an older Sentry has no way back
        assert [set(each) for each in lists] == before


@pytest.mark.parametrize("missing", ["unignore_logger", "ignore_logger_for_sentry_logs"])
def test_an_older_sentry_lacks_some_of_that(
    monkeypatch: pytest.MonkeyPatch, loggers: Any, missing: str
) -> None:
    monkeypatch.delattr(loggers, missing, raising=False)
    list(room._ignore_doubles(loggers))
    assert set(room._DOUBLE) <= loggers._IGNORED_LOGGERS


@pytest.mark.parametrize("own", [False, True], ids=["ours", "the-applications"])
def test_the_link_goes_with_us_unless_the_application_has_it(own: bool) -> None:
    made = errors()
    with sentry() as events:
        made.link()
        if own:
            client: Any = sentry_sdk.get_client()
            client.integrations["otlp"] = room._load().OTLP()
        made.close()
        token = attach(context_of(OWN))
        sentry_sdk.capture_message("of whatever")
        detach(token)
    assert (events[0]["contexts"]["trace"]["trace_id"] == OWN.trace_id) is own
    assert made.guard.faults == {}


def test_a_fork_tells_nothing_of_its_parents_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent counts them; each pool process would once more."""
    made = Instrumentation(None, Settings(), (), ())
    made.guard.report("hook", RuntimeError("ours"))
    monkeypatch.setattr(bootstrap, "_current", made)
    bootstrap._forget_after_fork()
    assert made.guard.faults == {}


def test_a_fork_sends_by_a_transport_of_its_own() -> None:
    """Main's unsent events are main's, and a lock that another thread held stays held."""
    made = errors()
    with sentry():
        made.begin("w@host")
        client: Any = sentry_sdk.get_client()
        client.options["transport"] = Kept  # a class, as most have it
        before = client.transport
        made.renew()
        assert client.transport is not before
        assert isinstance(client.transport, Kept)
    made.close()


def test_a_silent_server_holds_up_a_stop_for_the_budget_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, released = errors(), threading.Event()
    with sentry():
        made.begin("w@host")
        client: Any = sentry_sdk.get_client()
        monkeypatch.setattr(client.transport, "flush", lambda **_: released.wait(30))
        began = time.monotonic()
        with made.flushed(0.2):
            pass
        assert 0.2 <= time.monotonic() - began < 10
        released.set()
    assert made.guard.faults == {}
    made.close()


def test_where_no_thread_starts_any_more_the_rest_is_exported_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As at the end of the interpreter."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    made, exported = errors(), []
    with sentry():
        made.begin("w@host")
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with made.flushed(5.0):
            exported.append(True)
    assert exported == [True]
    made.close()


def test_the_last_facts_are_heard_at_the_end() -> None:
    """Telemetry is switched off before its listener."""
    made, order = Instrumentation(None, Settings(), (), ()), []
    made.here.close = lambda: order.append("telemetry")  # type: ignore[method-assign]
    made.errors.close = lambda: order.append("errors")  # type: ignore[method-assign]
    made.switch_off()
    assert order == ["telemetry", "errors"]
