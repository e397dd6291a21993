"""Both sides of a queue call it by one name."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue, binding
from kombu.common import Broadcast
from kombu.transport.native_delayed_delivery import calculate_routing_key

from otel_celery.queues.naming import QueueNames, messaging_system, queue_name, transport_name

TASKS = Exchange("tasks", type="topic")
DELAYED = "celery_delayed_delivery"


def app_with(*queues: Queue, **conf: Any) -> Celery:
    """Return an app that declares these queues."""
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.update(task_queues=queues or None, **conf)
    return app


@pytest.fixture
def amqp() -> Any:
    """Return the queues of an app with one of each kind."""
    return app_with(
        Queue("mail", Exchange("mail"), routing_key="send"),
        Queue("eu", TASKS, routing_key="order.eu.#"),
        Queue("any", TASKS, routing_key="order.*.paid"),
        Queue("all", TASKS, routing_key="#"),
        Queue("twice", bindings=[binding(Exchange("odd"), "a"), binding(TASKS, "rest.of.it")]),
        Broadcast("reload"),
        Queue("late", Exchange("news", type="fanout"), routing_key="late"),
    ).amqp


@pytest.mark.parametrize(
    ("exchange", "routing_key", "expected"),
    [
        pytest.param("", "mail", "mail", id="anonymous"),
        pytest.param(None, "mail", "mail", id="none-is-anonymous"),
        pytest.param("", "undeclared", "undeclared", id="anonymous-undeclared"),
        pytest.param("mail", "send", "mail", id="direct"),
        pytest.param(Exchange("mail"), "send", "mail", id="direct-as-object"),
        pytest.param("mail", "unbound", "unbound", id="direct-unbound"),
        pytest.param("tasks", "order.eu.new", "eu", id="topic-first-declared"),
        pytest.param("tasks", "order.eu", "eu", id="topic-hash-is-also-no-word"),
        pytest.param("tasks", "order.us.paid", "any", id="topic-one-word"),
        pytest.param("tasks", "order.us.new.paid", "all", id="topic-star-is-one-word"),
        pytest.param(TASKS, "anything", "all", id="topic-as-object"),
        pytest.param("odd", "a", "twice", id="several-bindings"),
        pytest.param("reload", "", "reload", id="broadcast"),
        pytest.param("news", "whatever", "news", id="fanout"),
        pytest.param(Exchange("other", type="fanout"), "x", "other", id="undeclared-fanout"),
        pytest.param("other", "x", "x", id="nothing-known"),
        pytest.param("other", None, "other", id="nothing-known-and-no-key"),
        pytest.param(None, None, "", id="nothing-at-all"),
    ],
)
def test_a_queue_is_named_by_exchange_and_routing_key(
    amqp: Any, exchange: Any, routing_key: str | None, expected: str
) -> None:
    """Whatever leads to a queue says its name."""
    assert queue_name(amqp, exchange, routing_key) == expected


@pytest.mark.parametrize(
    ("routing_key", "expected"),
    [
        pytest.param("eu", "eu", id="topic"),
        pytest.param("order.eu.new", "orders", id="pattern"),
        pytest.param("late", "news", id="fanout"),
        pytest.param("unbound", "unbound", id="nothing-bound"),
        pytest.param("mail", "mail", id="direct-exchanges-take-no-part"),
    ],
)
@pytest.mark.parametrize(
    "exchange",
    [
        pytest.param(Exchange("celery_delayed_27", type="topic"), id="published"),
        pytest.param(DELAYED, id="delivered"),
        pytest.param(f"team_{DELAYED}", id="delivered-with-prefix"),
    ],
)
def test_native_delayed_delivery_hides_no_name(
    exchange: Any, routing_key: str, expected: str
) -> None:
    """A message that RabbitMQ kept back has the name it would have had at once."""
    amqp = app_with(
        Queue("post", Exchange("post"), routing_key="mail"),
        Queue("eu", TASKS, routing_key="eu"),
        Queue("orders", TASKS, routing_key="order.#"),
        Queue("late", Exchange("news", type="fanout"), routing_key="late"),
    ).amqp
    assert queue_name(amqp, exchange, calculate_routing_key(90, routing_key)) == expected


def test_a_delay_is_removed_from_the_start_only(amqp: Any) -> None:
    """A routing key may hold such digits for reasons of its own."""
    inner = "x." + "0." * 28 + "y"
    assert queue_name(amqp, "", inner) == inner


def test_a_named_queue_is_not_created_by_naming_it() -> None:
    """Celery's mapping of queues makes what it lacks when asked by key."""
    amqp = app_with(Queue("mail", Exchange("mail"), routing_key="send")).amqp
    names = QueueNames(amqp)
    asked = [("", "absent"), ("mail", "absent"), ("absent", "absent"), (None, None)]
    assert [names(*pair) for pair in asked] == ["absent", "absent", "absent", ""]
    assert list(amqp.queues) == ["mail"]


@pytest.mark.parametrize(
    ("routing_key", "name"),
    [
        pytest.param("x" * 1_000_000, "x" * 255, id="huge"),
        pytest.param(["mail"], "", id="list"),
        pytest.param({"mail": 1}, "", id="dict"),
        pytest.param(7, "", id="number"),
    ],
)
def test_a_routing_key_of_a_stranger_is_cut_or_absent(
    amqp: Any, routing_key: Any, name: str
) -> None:
    """On Redis the message itself says it."""
    assert QueueNames(amqp)("", routing_key) == name


def test_the_default_queue_is_known_without_being_declared() -> None:
    """Its exchange and key may differ from its name."""
    amqp = app_with(task_default_queue="jobs", task_default_routing_key="key").amqp
    assert queue_name(amqp, "jobs", "key") == "jobs"


def test_a_remembered_name_is_the_same() -> None:
    """Asking again answers from memory, by the exchange's name and not by its object."""
    names = QueueNames(app_with(Queue("eu", TASKS, routing_key="order.eu.#")).amqp)
    asked = [("tasks", "order.eu.x"), (TASKS, "order.eu.x"), ("tasks", "order.eu.x")]
    assert [names(*pair) for pair in asked] == ["eu", "eu", "eu"]


def test_a_name_is_thought_over_when_queues_are_added() -> None:
    """A queue may be declared after the first message to it."""
    amqp = app_with(Queue("mail", Exchange("mail"), routing_key="send")).amqp
    names = QueueNames(amqp)
    before = names("tasks", "order.eu.x")
    amqp.queues.add(Queue("eu", TASKS, routing_key="order.#"))
    assert (before, names("tasks", "order.eu.x")) == ("order.eu.x", "eu")


def test_names_are_forgotten_before_they_fill_the_memory() -> None:
    """Routing keys may be as many as there are messages."""
    names = QueueNames(app_with().amqp)
    for number in range(5000):
        assert names("other", f"key.{number}") == f"key.{number}"
    assert len(names._names) <= 1000


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ("amqp", "rabbitmq"),
        ("amqps", "rabbitmq"),
        ("pyamqp", "rabbitmq"),
        ("redis", "redis"),
        ("rediss", "redis"),
        ("sentinel", "redis"),
        ("redis+socket", "redis"),
        ("SQS", "aws_sqs"),
        ("gcpubsub", "gcp_pubsub"),
        ("confluentkafka", "kafka"),
        ("azureservicebus", "servicebus"),
        ("filesystem", "filesystem"),
        ("sqla+sqlite", "sqla"),
    ],
    ids=str,
)
def test_a_broker_has_the_name_of_the_conventions(transport: str, expected: str) -> None:
    """Where they have none, kombu's."""
    assert messaging_system(transport) == expected


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        pytest.param("redis", "redis", id="alias"),
        pytest.param("SQS", "sqs", id="upper-case-alias"),
        pytest.param("kombu.transport.memory:Transport", "memory", id="path"),
    ],
)
def test_a_transport_is_known_without_connecting(transport: str, expected: str) -> None:
    """However it was given."""
    app = Celery(broker_transport=transport, set_as_current=False)
    with app.connection_for_read(None, transport=transport) as connection:
        assert transport_name(connection) == expected
