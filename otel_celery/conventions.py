"""What is the name of everything on the wire?

One catalogue, data only: instruments, tables in the docs, dashboards, alerts and tests are derived
from it. A renamed row breaks users even when no code breaks.

Source: OpenTelemetry semantic conventions 1.44 where those have a name, else `celery.*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
SCOPE = "otel_celery"

# Message headers; `HANDLE` is a key of `delivery_info`, between main and its pool process.
TRACEPARENT, TRACESTATE, BAGGAGE = "traceparent", "tracestate", "baggage"
SENT, ORIGIN, HANDLE = "otel-celery-sent", "otel-celery-origin", "otel-celery"
MESSAGE_HEADERS = frozenset({TRACEPARENT, TRACESTATE, SENT, ORIGIN})  # written anew at each publish

# Attributes of the semantic conventions.
MESSAGING_SYSTEM = "messaging.system"
OPERATION_NAME, OPERATION_TYPE = "messaging.operation.name", "messaging.operation.type"
MESSAGE_ID = "messaging.message.id"
QUEUE = "messaging.destination.name"
SERVER_ADDRESS, SERVER_PORT = "server.address", "server.port"
ERROR_TYPE = "error.type"
EXCEPTION = "exception"  # the name of a span event
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE = "exception.message", "exception.stacktrace"
PROCESS_PID, CODE_FUNCTION = "process.pid", "code.function.name"
CODE_FILE, CODE_LINE, CODE_STACK = "code.file.path", "code.line.number", "code.stacktrace"

# Attributes of ours.
TASK_NAME = "celery.task.name"
TASK_STATE = "celery.task.state"
TASK_EXPECTED = "celery.task.expected"
TASK_EAGER = "celery.task.eager"
TASK_REDELIVERED = "celery.task.redelivered"
TASK_QUEUE_WAIT, TASK_PREFETCH_WAIT = "celery.task.queue_wait", "celery.task.prefetch_wait"
TASK_RETRIES, TASK_PRIORITY = "celery.task.retries", "celery.task.priority"
TASK_ETA, TASK_EXPIRES = "celery.task.eta", "celery.task.expires"
TASK_ROOT_ID, TASK_PARENT_ID = "celery.task.root_id", "celery.task.parent_id"
TASK_GROUP_ID = "celery.task.group_id"
TASK_TIME_LIMIT, TASK_SOFT_TIME_LIMIT = "celery.task.time_limit", "celery.task.soft_time_limit"
TASK_ARGS, TASK_KWARGS = "celery.task.args", "celery.task.kwargs"
TASK_RESULT = "celery.task.result"
WORKER_NAME, POOL_TYPE = "celery.worker.name", "celery.worker.pool.type"
EXIT_REASON = "celery.worker.pool.process.exit.reason"
HELD_STATE = "celery.worker.task.state"
QUEUE_STATE = "celery.queue.message.state"
BEAT_ENTRY, BEAT_LATENESS = "celery.beat.entry.name", "celery.beat.lateness"
HOOK = "otel_celery.hook"

# Log records of a running task; a log record names the task, a span the message.
LOG_TRACE_ID, LOG_SPAN_ID, LOG_TASK_ID = "trace_id", "span_id", "celery.task.id"

# Values.
OTHER = "_OTHER"
PUBLISH, SEND, PROCESS, RECEIVE = "publish", "send", "process", "receive"

SUCCESS, FAILURE, RETRY, TIMEOUT, LOST = "success", "failure", "retry", "timeout", "lost"
IGNORED, REJECTED, REQUEUED = "ignored", "rejected", "requeued"
REVOKED, EXPIRED, RETURNED, DELEGATED = "revoked", "expired", "returned", "delegated"
UNKNOWN, INVALID = "unknown", "invalid"
STATES = (
    SUCCESS, FAILURE, RETRY, IGNORED, REJECTED, TIMEOUT, LOST,
    REQUEUED, REVOKED, EXPIRED, RETURNED, DELEGATED, UNKNOWN, INVALID,
)  # fmt: skip

HELD_STATES = ("active", "reserved", "scheduled")
QUEUE_STATES = ("ready", "unacked", "delayed")
EXIT_REASONS = ("recycled", "time_limit", "signal", "error", "shutdown")

# Attributes by span, in the order of the docs. A key that has no value is left out.
_MESSAGE = (
    MESSAGING_SYSTEM, OPERATION_NAME, OPERATION_TYPE, QUEUE, MESSAGE_ID, SERVER_ADDRESS,
    SERVER_PORT, TASK_NAME, TASK_RETRIES, TASK_ETA, TASK_EXPIRES, TASK_PRIORITY, TASK_ROOT_ID,
    TASK_PARENT_ID, TASK_GROUP_ID,
)  # fmt: skip
SPAN_ATTRIBUTES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "publish": (*_MESSAGE, ERROR_TYPE),
    "process": (
        *_MESSAGE, TASK_STATE, TASK_EXPECTED, TASK_QUEUE_WAIT, TASK_PREFETCH_WAIT,
        TASK_REDELIVERED, TASK_TIME_LIMIT, TASK_SOFT_TIME_LIMIT, WORKER_NAME, POOL_TYPE,
        PROCESS_PID, CODE_FUNCTION, TASK_ARGS, TASK_KWARGS, TASK_RESULT, ERROR_TYPE,
    ),
    "eager": (TASK_NAME, TASK_STATE, TASK_EXPECTED, TASK_EAGER, ERROR_TYPE),
    "beat": (BEAT_ENTRY, BEAT_LATENESS, ERROR_TYPE),
})  # fmt: skip

RESERVED = frozenset(SPAN_ATTRIBUTES["process"])
"""Keys that main writes on a process span; a task may not overwrite them."""

Kind = Literal[
    "counter", "histogram", "observable_gauge", "observable_counter", "observable_updowncounter",
]  # fmt: skip

DURATION_BUCKETS = (
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0,
)  # fmt: skip
"""Tasks run for minutes; the convention's advice for `messaging.process.duration` ends at 10 s."""

_CLIENT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


@dataclass(frozen=True, eq=False)  # a row is itself: as a key it costs no hashing of its buckets
class Metric:
    """One metric: how it is measured, and the only keys that its points may have."""

    name: str
    kind: Kind
    unit: str
    description: str
    keys: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


SENT_MESSAGES = Metric(
    "messaging.client.sent.messages", "counter", "{message}",
    "Messages that a producer tried to send.",
    (MESSAGING_SYSTEM, OPERATION_NAME, QUEUE, TASK_NAME, ERROR_TYPE),
)  # fmt: skip
CLIENT_DURATION = Metric(
    "messaging.client.operation.duration", "histogram", "s", "Time that sending a message took.",
    (MESSAGING_SYSTEM, OPERATION_NAME, QUEUE, TASK_NAME, ERROR_TYPE), _CLIENT_BUCKETS,
)  # fmt: skip
CONSUMED_MESSAGES = Metric(
    "messaging.client.consumed.messages", "counter", "{message}",
    "Deliveries that a worker received, whatever became of them.",
    (MESSAGING_SYSTEM, OPERATION_NAME, QUEUE, TASK_REDELIVERED),
)  # fmt: skip
PROCESS_DURATION = Metric(
    "messaging.process.duration", "histogram", "s", "Time that a task ran, of those that began.",
    (MESSAGING_SYSTEM, OPERATION_NAME, QUEUE, TASK_NAME, ERROR_TYPE), DURATION_BUCKETS,
)  # fmt: skip
QUEUE_WAIT = Metric(
    "celery.task.queue_wait.duration", "histogram", "s",
    "Time that a task was due but had not started.",
    (MESSAGING_SYSTEM, QUEUE, TASK_NAME), DURATION_BUCKETS,
)  # fmt: skip
OUTCOMES = Metric(
    "celery.task.outcomes", "counter", "{task}", "What became of deliveries, each counted once.",
    (MESSAGING_SYSTEM, QUEUE, TASK_NAME, TASK_STATE, ERROR_TYPE, TASK_EXPECTED),
)  # fmt: skip
TASK_COUNT = Metric(
    "celery.worker.task.count", "observable_updowncounter", "{task}",
    "Deliveries that a worker holds: running, due, or waiting for their time.", (HELD_STATE,),
)  # fmt: skip
POOL_LIMIT = Metric(
    "celery.worker.pool.limit", "observable_updowncounter", "{process}",
    "Tasks that a worker can run at once.", (POOL_TYPE,),
)  # fmt: skip
PREFETCH_LIMIT = Metric(
    "celery.worker.prefetch.limit", "observable_updowncounter", "{message}",
    "Messages that a worker may hold unacknowledged.",
)  # fmt: skip
PROCESS_EXITS = Metric(
    "celery.worker.pool.process.exits", "counter", "{process}",
    "Pool processes that ended, by reason.", (EXIT_REASON,),
)  # fmt: skip
WORKER_HEARTBEAT = Metric(
    "celery.worker.heartbeat.timestamp", "observable_gauge", "s",
    "Unix time at which the worker's loop last turned.",
)  # fmt: skip
WORKER_CPU = Metric(
    "celery.worker.cpu.time", "observable_counter", "s",
    "CPU time of a worker and its pool processes, ended ones included.",
)  # fmt: skip
WORKER_MEMORY = Metric(
    "celery.worker.memory.usage", "observable_updowncounter", "By",
    "Memory of a worker and its pool processes.",
)  # fmt: skip
WORKER_MEMORY_LIMIT = Metric(
    "celery.worker.memory.limit", "observable_updowncounter", "By",
    "Memory that a worker's control group may use.",
)  # fmt: skip
OLDEST_ACTIVE = Metric(
    "celery.task.oldest_active.age", "observable_gauge", "s",
    "How long the oldest running task has been running.", (TASK_NAME,),
)  # fmt: skip
BROKER_CONNECTED = Metric(
    "celery.worker.broker.connected", "observable_gauge", "1",
    "1 while a worker is connected to its broker, else 0.",
)  # fmt: skip
BROKER_RECONNECTIONS = Metric(
    "celery.worker.broker.reconnections", "counter", "{reconnection}",
    "Times that a worker lost its broker and found it again.",
)  # fmt: skip
QUEUE_CONSUMING = Metric(
    "celery.worker.queue.consuming", "observable_gauge", "1",
    "1 for each queue that a worker consumes.", (QUEUE,),
)  # fmt: skip
OLDEST_UNACKED = Metric(
    "celery.queue.oldest_unacked.age", "observable_gauge", "s",
    "Age of the oldest delivery without an acknowledgement; near the visibility timeout it will be"
    " delivered again.", (MESSAGING_SYSTEM,),
)  # fmt: skip
QUEUE_DEPTH = Metric(
    "celery.queue.depth", "observable_gauge", "{message}", "Messages in a queue.",
    (MESSAGING_SYSTEM, QUEUE, QUEUE_STATE),
)  # fmt: skip
OLDEST_MESSAGE = Metric(
    "celery.queue.oldest_message.age", "observable_gauge", "s",
    "Age of the message at the head of a queue.", (MESSAGING_SYSTEM, QUEUE),
)  # fmt: skip
QUEUE_CONSUMERS = Metric(
    "celery.queue.consumer.count", "observable_gauge", "{consumer}", "Consumers of a queue.",
    (MESSAGING_SYSTEM, QUEUE),
)  # fmt: skip
PROBE_DURATION = Metric(
    "celery.queue.probe.duration", "histogram", "s", "Time that reading a broker's queues took.",
    (MESSAGING_SYSTEM, ERROR_TYPE), DURATION_BUCKETS,
)  # fmt: skip
LATENESS = Metric(
    "celery.beat.lateness.duration", "histogram", "s",
    "How long after its due time beat sent an entry.", (BEAT_ENTRY,), DURATION_BUCKETS,
)  # fmt: skip
BEAT_HEARTBEAT = Metric(
    "celery.beat.heartbeat.timestamp", "observable_gauge", "s",
    "Unix time at which beat's loop last turned.",
)  # fmt: skip
FAULTS = Metric(
    "otel_celery.faults", "counter", "{fault}", "Hooks of otel-celery that raised.", (HOOK,)
)
SKEW_CORRECTIONS = Metric(
    "otel_celery.clock_skew.corrections", "counter", "{correction}",
    "Waits cut to 0 because two clocks disagreed.",
)  # fmt: skip
OVERFLOWS = Metric(
    "otel_celery.attribute.overflows", "counter", "{attribute}",
    "Names counted as `_OTHER` because there are too many.",
)  # fmt: skip
RELAY_DROPPED = Metric(
    "otel_celery.relay.dropped", "counter", "{record}",
    "Records of pool processes that never reached main.",
)  # fmt: skip
FACTS_DROPPED = Metric(
    "otel_celery.facts.dropped", "counter", "{fact}", "Span contents dropped at the bound."
)
BACKLOG = Metric(
    "otel_celery.backlog", "observable_gauge", "{fact}", "Facts that are not yet telemetry."
)

METRICS: tuple[Metric, ...] = tuple(
    row for row in tuple(globals().values()) if isinstance(row, Metric)
)
