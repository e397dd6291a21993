"""What is a queue called, in the same words for who sends to it and who takes from it?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kombu.transport import TRANSPORT_ALIASES

_SYSTEMS = {
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
    "pyamqp": "rabbitmq",
    "redis": "redis",
    "rediss": "redis",
    "sentinel": "redis",
    "sqs": "aws_sqs",
    "gcpubsub": "gcp_pubsub",
    "confluentkafka": "kafka",
    "azureservicebus": "servicebus",
}
_DELAY = re.compile(r"^(?:[01]\.){28}")
"""What kombu puts before a routing key so that RabbitMQ keeps the message back."""
_DELAY_EXCHANGE = re.compile(r"(?:.*_)?celery_delayed_(?:\d+|delivery)")
_MAX_NAMES = 1000
_LONGEST = 255  # what AMQP allows a routing key and the name of a queue or an exchange


def messaging_system(transport: str) -> str:
    """Return the semantic conventions' name of a broker.

    Args:
        transport: kombu's name of the transport, or the scheme of a broker URL.
    """
    name = transport.lower().partition("+")[0]
    return _SYSTEMS.get(name, name)


def transport_name(connection: Any) -> str:
    """Return kombu's lower-case name of the transport of a connection, which need not be open.

    A transport given as a class or as its path has the name of its driver.
    """
    given = connection.transport_cls
    if given in TRANSPORT_ALIASES:
        return str(given).lower()
    return str(connection.transport.driver_type).lower()


class QueueNames:
    """Names queues for one app, remembering its answers.

    Args:
        amqp: `app.amqp`; its queues are looked at, never created. As Celery's own sender does, we
            hold on to the mapping that is there at the first message.
    """

    def __init__(self, amqp: Any) -> None:
        self._amqp = amqp
        self._queues: Any = ()  # until the first message
        self._names: dict[tuple[str, str | None], str] = {}
        self._known = -1

    def __call__(self, exchange: Any, routing_key: object) -> str:
        """Return the name of the queue that a message was sent to or came from.

        Args:
            exchange: a name, a kombu `Exchange`, or None.
            routing_key: as given to `Producer.publish`, or as delivered. On brokers whose messages
                say it themselves it is what a stranger wrote: any value, of any length.
        """
        known = len(self._queues)
        if known == self._known and type(exchange) is type(routing_key) is str:
            name = self._names.get((exchange, routing_key))
            if name is not None:
                return name
        if self._known < 0:
            self._queues = self._amqp.queues
            known = len(self._queues)
        if known != self._known or len(self._names) >= _MAX_NAMES:
            self._names, self._known = {}, known
        said = routing_key[:_LONGEST] if isinstance(routing_key, str) else None
        to = exchange if type(exchange) is str else exchange_name(exchange)
        key = (to[:_LONGEST], said)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = _name(self._queues, exchange, said)[:_LONGEST]
        return name


def queue_name(amqp: Any, exchange: Any, routing_key: str | None) -> str:
    """Return the name of the queue that a message was sent to or came from.

    Several queues may be bound alike: then the first declared; without any, the routing key.
    A fanout has as many queues as there are workers and is named by its exchange.

    Args:
        amqp: `app.amqp`; its queues are looked at, never created.
        exchange: a name, a kombu `Exchange`, or None.
        routing_key: as given to `Producer.publish`, or as delivered.
    """
    return _name(amqp.queues, exchange, routing_key)


def exchange_name(exchange: Any) -> str:
    """Return the name of an exchange that is given as Celery gives it."""
    return str(getattr(exchange, "name", exchange) or "")


def _name(queues: Any, exchange: Any, routing_key: str | None) -> str:
    name = exchange_name(exchange)
    key = _DELAY.sub("", routing_key or "", count=1)
    if not name:
        return key
    delayed = _DELAY_EXCHANGE.fullmatch(name) is not None
    kind = getattr(exchange, "type", "")
    for queue, bound, binding_key in _bindings(queues):
        if bound.name == name:
            kind = bound.type
        elif not delayed or bound.type == "direct":
            continue
        if kind == "fanout":
            return name
        if binding_key == key or (bound.type == "topic" and _matches(binding_key, key)):
            return str(bound.name) if bound.type == "fanout" else queue
    return name if kind == "fanout" or not key else key


def _bindings(queues: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield (queue name, exchange, binding key) of each declared queue."""
    for queue in list(queues.values()):  # reading an absent name would create it
        if queue.exchange is not None:
            yield queue.name, queue.exchange, queue.routing_key or ""
        for bound in queue.bindings:
            if bound.exchange is not None:
                yield queue.name, bound.exchange, bound.routing_key or ""


def _matches(binding_key: str, key: str) -> bool:
    """Tell whether a topic's binding key matches: `*` is one word, `#` any number of words."""
    words = {"*": r"\.[^.]+", "#": r"(?:\.[^.]+)*"}
    pattern = (words.get(word, r"\." + re.escape(word)) for word in binding_key.split("."))
    return re.fullmatch("".join(pattern), f".{key}") is not None
