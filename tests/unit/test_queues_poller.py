"""Queues are read when it is due, and what was read does not outlive its truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast
from kombu.exceptions import OperationalError

from otel_celery.queues.poller import QueuePoller, built_in_readers
from otel_celery.queues.reading import QueueReading, Reading

START = 5000.0


class Script:
    """A reader that says what a test tells it to, and the clock and probes of the poller."""

    transports = frozenset({"memory"})

    def __init__(self) -> None:
        self.now = START
        self.fault: Exception | None = None
        self.asked: list[list[str]] = []
        self.channels: list[Any] = []
        self.probes: list[tuple[float, str | None, str]] = []

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[Reading]:
        """Take half a second."""
        self.asked.append(list(queues))
        self.channels.append(channel)
        self.now += 0.5
        if self.fault is not None:
            raise self.fault
        return [QueueReading(name, len(self.asked)) for name in self.asked[-1]]

    def poller(
        self, queues: Sequence[str] = (), interval: float = 10.0, app: Any = None, **options: Any
    ) -> QueuePoller:
        """Return a poller that this script is the reader of."""
        return QueuePoller(
            app or app_with(),
            [self, *built_in_readers()],
            queues,
            interval,
            on_probe=lambda *probe: self.probes.append(probe),
            clock=lambda: self.now,
            **{"jitter": lambda: 0.5, **options},
        )


def app_with(*queues: Any, **conf: Any) -> Celery:
    """Return an app on kombu's broker of this process."""
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.update(task_queues=queues or None, **conf)
    return app


@pytest.fixture
def script() -> Script:
    """Return a reader without faults."""
    return Script()


@pytest.fixture(autouse=True)
def _empty_broker() -> Iterator[None]:
    """Leave nothing declared in the memory transport."""
    yield
    with app_with().connection_for_read() as connection:
        connection.default_channel.queues.clear()
        connection.transport.state.clear()


def test_a_round_leaves_what_was_read(script: Script) -> None:
    """The default queue is read without anybody naming it."""
    poller = script.poller()
    poller.poll(START)
    assert poller.readings() == [QueueReading("celery", 1)]
    assert script.probes == [(0.5, None, "memory")]


def test_a_round_waits_until_it_is_due(script: Script) -> None:
    """The interval counts from the start of the last round."""
    poller = script.poller()
    for now in (START, START + 1, START + 9.9, START + 10, START + 19.9, START + 20):
        poller.poll(now)
    assert len(script.asked) == 3


@pytest.mark.parametrize(
    ("drawn", "due"), [pytest.param(0.0, 9.0, id="early"), pytest.param(1.0, 11.0, id="late")]
)
def test_workers_that_started_together_drift_apart(
    script: Script, drawn: float, due: float
) -> None:
    """A tenth of the interval, either way."""
    poller = script.poller(jitter=lambda: drawn)
    poller.poll(START)
    poller.poll(START + due - 0.01)
    assert len(script.asked) == 1
    poller.poll(START + due)
    assert len(script.asked) == 2


def test_a_reading_is_not_repeated_for_ever(script: Script) -> None:
    """It lasts for one interval, and for as long as a round may be late."""
    poller = script.poller(interval=10.0, timeout=1.0)
    poller.poll(START)
    script.now = START + 13.4
    assert len(poller.readings()) == 1
    script.now = START + 13.5
    assert poller.readings() == ()


def test_a_failed_round_leaves_nothing(script: Script) -> None:
    """Neither what was read before, nor 0."""
    poller = script.poller()
    poller.poll(START)
    script.fault = OperationalError("gone")
    poller.poll(START + 10)
    assert poller.readings() == ()
    assert script.probes == [(0.5, None, "memory"), (0.5, "OperationalError", "memory")]


def test_a_round_after_an_error_has_a_new_channel(script: Script) -> None:
    """One that failed is not trusted again; one that works is kept."""
    poller = script.poller()
    for now, fault in ((0, None), (10, OSError()), (20, None), (30, None)):
        script.fault = fault
        poller.poll(START + now)
    first, second, third, fourth = script.channels
    assert first is second
    assert second is not third
    assert third is fourth
    assert len(poller.readings()) == 1


def test_a_fault_of_a_reader_is_the_callers_to_report(script: Script) -> None:
    """It is a failed probe all the same, and the next round is not harmed."""
    poller = script.poller()
    script.fault = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        poller.poll(START)
    assert poller.readings() == ()
    assert script.probes == [(0.5, "_OTHER", "memory")]
    script.fault = None
    poller.poll(START + 10)
    assert len(poller.readings()) == 1


def test_an_interval_of_0_is_never(script: Script) -> None:
    """Not even a connection is made."""
    poller = script.poller(interval=0.0)
    poller.poll(START)
    assert (script.asked, poller.readings()) == ([], ())


def test_only_the_worker_whose_turn_it_is_reads(script: Script) -> None:
    """One that hands over takes its readings back at once, and may be called again."""
    turns = iter([True, False, True])
    poller = script.poller(should_read=lambda: next(turns))
    counts = []
    for round_ in range(3):
        poller.poll(START + 10 * round_)
        counts.append(len(poller.readings()))
    assert counts == [1, 0, 1]
    assert len(script.asked) == 2


def test_each_queue_of_tasks_is_read_once(script: Script) -> None:
    """Declared, consumed or named: not those of events, remote control and broadcasts."""
    app = app_with(
        Queue("mail", Exchange("mail"), routing_key="mail"),
        Queue("eu", Exchange("tasks", type="topic"), routing_key="eu"),
        Broadcast("reload", queue="bcast.1"),
    )
    poller = script.poller(["named", "mail"], app=app)
    consumed = ["eu", "late", "celeryev.1f", "w1@host.celery.pidbox", "1f.reply.celery.pidbox"]
    poller.poll(START, consumed)
    assert script.asked == [["mail", "eu", "late", "named"]]
    assert "late" not in app.amqp.queues


def test_queues_may_be_declared_by_name(script: Script) -> None:
    """Celery takes a mapping, too."""
    app = app_with()
    app.conf.task_queues = {"mail": {"exchange": "mail"}, "eu": {"exchange": "eu"}}
    script.poller(app=app).poll(START)
    assert script.asked == [["mail", "eu"]]


def test_a_broker_that_no_reader_knows_is_not_connected_to(script: Script) -> None:
    """There is nothing to read and nothing that failed."""
    script.transports = frozenset({"carrier-pigeon"})
    poller = QueuePoller(
        app_with(), [script], [], 10.0, on_probe=lambda *probe: script.probes.append(probe)
    )
    poller.poll(START)
    assert (script.asked, script.probes, poller.readings()) == ([], [], ())


def test_a_users_reader_goes_before_ours(script: Script) -> None:
    """The first that knows the transport is taken."""
    script.poller().poll(START)
    assert len(script.asked) == 1


def test_closing_twice_is_closing() -> None:
    """A stopping worker need not know whether there was ever a round."""
    script = Script()
    poller = script.poller()
    poller.close()
    poller.poll(START)
    poller.close()
    poller.close()
    assert script.channels[0].closed


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        pytest.param(
            "redis://h/0",
            {"socket_timeout": 60, "visibility_timeout": 5},
            {
                "socket_timeout": 2.0,
                "socket_connect_timeout": 2.0,
                "retry_on_timeout": False,
                "visibility_timeout": 5,
            },
            id="redis",
        ),
        pytest.param(
            "amqp://h//",
            {},
            {"connect_timeout": 2.0, "read_timeout": 2.0, "write_timeout": 2.0},
            id="amqp",
        ),
        pytest.param("sqla+sqlite://", {"echo": False}, {"echo": False}, id="database"),
        pytest.param(
            "sqs://",
            {"client-config": {"proxies": {}, "read_timeout": 60}},
            {
                "client-config": {
                    "proxies": {},
                    "connect_timeout": 2.0,
                    "read_timeout": 2.0,
                    "retries": {"total_max_attempts": 1},
                }
            },
            id="sqs",
        ),
    ],
)
def test_waiting_is_bounded_as_each_transport_can(
    url: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Our patience is ours: the app's own connections keep their options."""
    app = Celery(broker=url, set_as_current=False)
    app.conf.broker_transport_options = given
    poller = QueuePoller(app, [], [], 10.0, timeout=2.0)
    poller.poll(START)
    assert poller._connection.transport_options.items() >= expected.items()
    assert app.conf.broker_transport_options == given
