"""Which faults are tried, what is done for real, and what do we promise?

In words for the page in the docs. `fault(id)` marks the tests of each; what cannot be injected on
one machine's loopback says why in `untried`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Fault(NamedTuple):
    """One row of the promise."""

    id: str
    name: str
    injected: str
    promised: str
    untried: str = ""


COLLECTOR = (
    Fault(
        "collector-dies-and-returns",
        "It dies between two requests and returns",
        "the receiver ends with its connections, 100 tasks run, "
        "and after 15 s another one takes its place",
        "nothing is lost that the queue can hold: what waits arrives after the return, "
        "and sums go on where they were",
    ),
    Fault(
        "collector-slow",
        "It takes five seconds for each request",
        "1,000 tasks while each answer comes at once, 1,000 while each takes 5 s, "
        "three times in turn",
        "tasks run as fast as with one that is quick, and memory stays within the queue's bounds",
    ),
    Fault(
        "collector-busy",
        "It is busy: 503 with `Retry-After`",
        "503 with `Retry-After: 2`, then with `Retry-After: 0`, "
        "to every request for spans for 6 s each; then all is well",
        "a pause that is asked for is kept to; where none is asked for there is one that grows, "
        "so that we are never busy with it ourselves; nothing is lost",
    ),
    Fault(
        "collector-refuses",
        "It refuses for good: 400, or 413 whatever the size",
        "every request for spans is answered like that, while 50 tasks with 10 spans each run",
        "what is refused is dropped once and counted; what is too large is halved, "
        "but not down to each span",
    ),
    Fault(
        "collector-silent",
        "It accepts connections and never answers",
        "every request hangs; 50 messages are sent by a program that ends, and run by a worker "
        "that is stopped; their tasks make metrics of their own",
        "only threads that export wait: tasks run, and a program or worker ends no later than with "
        "a Collector that answers, plus `OTEL_CELERY_FLUSH_TIMEOUT` (1 s here)",
    ),
    Fault(
        "collector-silent-for-metrics",
        "It never answers requests for metrics, and is well for spans",
        "as its name says; 50 tasks run, then the worker is stopped at once",
        "every span arrives",
    ),
    Fault(
        "collector-odd-answers",
        "It answers oddly",
        "one after the other: a reset, bytes that are no HTTP, half a body, a body without end, "
        "one that is not the gzip it says, a certificate that nobody knows",
        "no task and no hook notices; what it did not take is sent again, what it said it took "
        "is not; every span arrives once",
    ),
    Fault(
        "collector-queue-full",
        "More spans than the queue holds while it is away",
        "a task makes 52,000 spans in a tight loop while spans are answered with 503; "
        "then all is well",
        "the first 50,000 are kept and the newest dropped; arrived + counted as dropped = made",
    ),
    Fault(
        "collector-away-at-stop",
        "SIGTERM with a full queue and nobody to take it",
        "as above, and the worker is stopped while spans are still answered with 503",
        "the worker stops no later than Celery alone plus `OTEL_CELERY_FLUSH_TIMEOUT` (3 s); "
        "the number of lost spans is counted, sent with the last metrics, and logged",
    ),
    Fault(
        "collector-out-of-memory",
        "The project's Collector refuses for want of memory",
        "its `memory_limiter` has a limit below what it needs, while 100 tasks run; "
        "then it is started anew with the usual one",
        "it refuses with 503, so that everything stays with the worker and arrives later",
    ),
    Fault(
        "collector-disk-full",
        "The disk under the project's Collector is full",
        "the file of its queue may not grow beyond 64 KiB (`RLIMIT_FSIZE`) and the backend is away",
        "the worker has been told that all was taken; what finds no room is lost there and "
        "counted by the Collector, in `otelcol_exporter_enqueue_failed_spans_total`",
    ),
    Fault(
        "collector-queue-corrupt",
        "The queue of the project's Collector is corrupt",
        "its file is overwritten while it does not run; then it is started, in vain; "
        "then the file is removed",
        "it does not start until somebody removes the file, and what stood in it is lost; "
        "what workers tell meanwhile waits with them and arrives",
    ),
    Fault(
        "collector-absent-at-start",
        "It is not there when the worker starts, and comes later",
        "nothing listens at the endpoint; 100 tasks run; then a receiver is started there",
        "the worker is ready as soon as Celery alone, tasks do not notice, "
        "and everything that was told meanwhile arrives when it comes",
    ),
)

BROKER = (
    Fault(
        "broker-gone-at-publish",
        "The broker is gone when a message is published",
        "a Redis and a RabbitMQ that end and come back; one program publishes before, during "
        "(without retries, with Celery's own, with `expires`) and after",
        "the caller meets the same exceptions as with Celery alone, with the same causes, and "
        "stays in its own span; each failed publish has a span with ERROR and `error.type`, and "
        "is counted with it",
    ),
    Fault(
        "publish-refused",
        "RabbitMQ refuses a message",
        "publisher confirms, and a full queue with `x-overflow: reject-publish`; an exchange that "
        "does not exist",
        "as above: same exception, a span with ERROR, counted; what was refused is not consumed",
    ),
    Fault(
        "queue-reader-gets-no-answer",
        "The broker does not answer whoever reads its queues",
        "the reader's connection, and only that, falls silent at each question; meanwhile ten "
        "tasks a second",
        "the worker's loop is not delayed; no depth; the failed probes are counted",
    ),
    Fault(
        "broker-gone-for-queue-reader",
        "The broker hangs, then ends, then comes back",
        "SIGSTOP for some seconds, then the end of the server, with three messages in a queue "
        "that nobody consumes",
        "as long as the broker cannot be read there is no depth, neither an old one nor 0; failed "
        "probes are counted by their error; afterwards depth is there again",
    ),
    Fault(
        "two-queue-readers",
        "Two workers read the queues, and one is killed",
        "two workers without gossip, three messages in a queue that nobody consumes; SIGKILL for "
        "one of them",
        "`max by (queue)` is right before and after; the survivor reads on. The last reading of "
        "the dead one lasts as long as the backend keeps a silent series (60 s in our Collector)",
    ),
    Fault(
        "queue-reader-killed",
        "The worker that reads for all is killed",
        "two workers with gossip, of which one reads; SIGKILL for that one",
        "the other takes over when gossip has noticed",
    ),
    Fault(
        "result-backend-down",
        "The result backend is down",
        "its port is closed; tasks that succeed, fail and retry, with results switched on",
        "attempts, log and acknowledgements are those of Celery alone; one process span for each "
        "delivery, one outcome",
    ),
    Fault(
        "rabbitmq-restarts",
        "RabbitMQ restarts under a worker",
        "durable messages in a queue; the server ends while the worker consumes, and comes back",
        "every message has a process span; sent = consumed without those delivered again; the "
        "reconnection is counted",
    ),
)

PROCESSES = (
    Fault(
        "recycled-at-every-task",
        "Every pool process runs one task and ends",
        "200 tasks with `--max-tasks-per-child 1`, each with a child span of its own",
        "every process span and every child span arrives, each outcome is counted once, "
        "and the number of series does not grow with the number of pool processes",
    ),
    Fault(
        "process-killed",
        "A pool process is killed",
        "40 tasks in two pool processes; each tenth sends SIGKILL to its own process after it has "
        "ended a child span",
        "one process span for each task that began, `lost` for those killed; every span that had "
        "ended arrives, of the killed task and of those before it in the same process",
    ),
    Fault(
        "memory-limit",
        "A pool process grows beyond `--max-memory-per-child`",
        "35 tasks, three of which take 150 MB where 200 MB are allowed",
        "nothing is lost; the exit is counted as `recycled`",
    ),
    Fault(
        "out-of-memory",
        "The kernel kills a pool process that is out of memory",
        "20 tasks, two of which move their process into a control group of 300 MB and take more "
        "(needs root and a memory controller)",
        "as for SIGKILL: `lost`, with all that had ended before",
    ),
    Fault(
        "memory-error",
        "A task raises `MemoryError`",
        "10 tasks, the last of which asks for more than `RLIMIT_AS` allows; Celery then stops the "
        "whole worker, watched or not",
        "the worker ends as it would alone, and has told everything by then",
    ),
    Fault(
        "time-limits",
        "Tasks run into their time limits",
        "15 tasks, four of which reach a hard limit, half of these with `acks_late`, and two a "
        "soft one",
        "a hard limit is one `timeout`, although Celery reports it twice; a soft one is a "
        "`failure`; the neighbours lose nothing",
    ),
    Fault(
        "stopped",
        "A worker is stopped in the middle of its work",
        "58 messages, half of them with `acks_late`, and a stop when 20 have begun: warm, soft, "
        "cold, by Ctrl-C twice, by SIGTERM remapped to SIGQUIT, and hard, with a third SIGQUIT",
        "every task that began has its process span; each message is either told as done or still "
        "in the queue, never both, never neither; the stop takes the flush budget more at most",
    ),
    Fault(
        "worker-killed",
        "A whole worker is killed",
        "SIGKILL of the main process while two tasks run, after their neighbours' spans were "
        "exported; then a worker of the same name, to which the broker gives the two again",
        "the new worker goes on with the same series, and its gauges say what is so; the two "
        "deliveries are told as redelivered; no pool process stays",
    ),
    Fault(
        "every-pool",
        "Other pools, other ways to start",
        "20 tasks, four of which fail, in each pool and start method, with beat inside, and in "
        "the background; contrib is switched on in main for pools that have no processes",
        "the same spans and counts everywhere",
    ),
    Fault(
        "fork-in-a-task",
        "A task forks",
        "14 tasks in one pool process; two fork by `os.fork` and by `billiard.Process`, or become "
        "a daemon that closes every descriptor; the children make spans and publish",
        "nothing is told twice, the pool process goes on, and what the children made arrives",
    ),
    Fault(
        "never-ran",
        "Deliveries that do not run, or not to their end",
        "32 deliveries: revoked before, while waiting and while running, expired, ignored, "
        "rejected, requeued, retried, and plain ones between them",
        "each is counted once with its state and has a span; gauges go back to 0",
    ),
    Fault(
        "same-task-twice",
        "The same task runs twice at once",
        "a Redis visibility timeout of two seconds gives a message again while its first run goes "
        "on: to another process of the same worker, and to another worker",
        "two deliveries, two process spans, the second as redelivered; attributes and child spans "
        "of each under its own; two outcomes",
    ),
)

FORKS = (
    Fault(
        "forks-of-a-busy-process",
        "A process forks while all its threads are telling",
        "a publisher and a worker's main fork up to 10,000 times, with exports each millisecond, "
        "the queues read each millisecond and threads that make spans and points without a pause; "
        "each child makes a span, a message and a point, and ends",
        "no child hangs, nothing of the parent is exported by a child, all spans arrive once; "
        "points of a pool process arrive as far as it can export them in the time that it has",
    ),
    Fault(
        "forks-with-grpc",
        "A process forks while it exports by gRPC",
        "the same, with `OTEL_EXPORTER_OTLP_PROTOCOL=grpc`, in smaller number",
        "the same",
    ),
    Fault(
        "sigterm-at-any-moment",
        "SIGTERM at any moment of a worker's life",
        "up to 500 workers with tasks waiting, each gets SIGTERM at a random moment of its start, "
        "of its work, or twice in its stop",
        "none hangs or leaves a process behind, the exit code is Celery's, each task that main "
        "knows to have begun has exactly one process span and one outcome; one that Celery had "
        "given back and that a pool process still ran is counted as returned",
    ),
)

CONTENTS = (
    Fault(
        "clocks-disagree",
        "A publisher's clock is off by five minutes",
        "tasks of publishers whose clocks are five minutes ahead and five minutes behind",
        "a wait is never negative: where the task began before it was sent, the wait is 0 and "
        "counted in `otel_celery.clock_skew.corrections`; a clock that is behind looks "
        "like waiting",
    ),
    Fault(
        "clock-is-set",
        "A worker's clock is set while tasks run",
        "the wall clock of a worker and its pool processes is set back by five minutes, then "
        "forward by ten, while tasks of a second run",
        "durations are right, because they come from the monotonic clock; no span ends before it "
        "begins; waits are never negative; queues are read and metrics exported as before",
    ),
    Fault(
        "large-arguments-and-results",
        "Arguments of 1 MB, results of 10 MB",
        "messages of 1 MB against small ones, as the broker holds them; a result of 10 MB",
        "nothing of them is told: spans have the size that they have for small ones; a message "
        "grows by less than 300 bytes; what a publish costs more does not depend on its size",
    ),
    Fault(
        "odd-exceptions",
        "Exceptions that are hard to tell",
        "messages of 10 MB, binary, with NUL or lone surrogates; `str()` or `repr()` that raises; "
        "classes that cannot be pickled or not be read again; endless recursion; 300 causes",
        "each has its process span, cut to 4,096 characters of message and 32,768 of stack, in "
        "valid UTF-8; the spans around it arrive; results are those of Celery alone",
    ),
    Fault(
        "many-names",
        "Names without end",
        "10,000 task names that no worker knows, 1,000 queues, 1,000 routing keys that a stranger "
        "wrote",
        "200 task names and 50 queues have series, further ones share `_OTHER`, which "
        "`otel_celery.attribute.overflows` counts; counts are exact; memory does not grow",
    ),
)

MESSAGES = (
    Fault(
        "malformed-headers",
        "Headers that make no sense",
        "messages written straight to the broker: `traceparent` as a number, a list, a dictionary, "
        "with zero ids, in upper case, of version ff, of 1 MB ...; Celery's own headers and the "
        "routing key as other types or of 1 MB",
        "what is malformed counts as absent, so that a new trace begins; the task runs, has its "
        "one process span of less than 4 KiB, and is counted",
    ),
    Fault(
        "hostile-state-and-baggage",
        "Floods of `tracestate` and `baggage`",
        "ten messages each with 1 MB, 250,000 keys, line breaks, other types; "
        "`OTEL_PROPAGATORS` names baggage",
        "work is bounded: a `tracestate` beyond 512 characters and baggage beyond 8,192 are not "
        "parsed; every task runs in the trace that its message names",
    ),
    Fault(
        "baggage-from-strangers",
        "Baggage of a stranger",
        "`user.id=admin` in the header `baggage`, in eight forms; `OTEL_PROPAGATORS` is not set",
        "no task runs with it, and nothing of it is exported",
    ),
    Fault(
        "header-collisions",
        "Headers of the user with names of ours",
        "messages sent with headers of the user's own: unknown ones, nested ones, baggage, those "
        "of other tracers, `traceparent`, `tracestate` and our two",
        "`traceparent`, `tracestate`, `otel-celery-sent` and `otel-celery-origin` are written "
        "anew, a valid `traceparent` of the user's becoming the parent; all others arrive as they "
        "were",
    ),
    Fault(
        "other-producers",
        "Producers of all kinds",
        "protocols 1 and 2; JSON, YAML and pickle; producers that are no Celery, with few headers "
        "or none",
        "each message has one process span, below its publish span where it has one; one that does "
        "not say when it was sent has no wait",
    ),
    Fault(
        "fifty-retries",
        "A task retries 50 times",
        "each attempt notes the size of its message as the broker holds it",
        "messages do not grow from one retry to the next; each attempt has one process span below "
        "its own publish span; attempts are siblings, linked to what asked for them",
    ),
    Fault(
        "nested-canvases",
        "Canvases within canvases",
        "chains of chords, a chord in a chord, callbacks and error callbacks, a replaced task, a "
        "chord that breaks, stamps; each sent within a span",
        "one publish span and one process span for each message, none without its parent, one "
        "trace for each canvas; results and stamps as with Celery alone",
    ),
    Fault(
        "group-of-10000",
        "A group of 10,000",
        "sent by one program; the CPU that it takes for each message against a group of 1,000",
        "one publish span and one process span for each message, all in one trace; the cost of a "
        "message does not depend on how many there are",
    ),
)

COMPANY = (
    Fault(
        "eager",
        "Tasks that run in their caller",
        "`task_always_eager` in a program, and `apply()` in a task of a worker, also of tasks that "
        "fail and that send others",
        "one INTERNAL span for each, below the span around it; no message, no outcome and no wait "
        "is counted for it",
    ),
    Fault(
        "current-span",
        "Tasks that end, change or leave the current span and context",
        "tasks that end the task's span, rename it and give it another id, attach contexts for "
        "good, detach what is not theirs, and leave spans in the wrong order; after each one a "
        "task that looks at its own context",
        "one process span for each, with its own id; the next task finds its own context and "
        "nothing of the one before",
    ),
    Fault(
        "handlers-of-others",
        "Signal handlers of others that raise",
        "handlers for nine signals of Celery, connected before ours, all of which raise",
        "tasks end as they do without us, and all is told",
    ),
    Fault(
        "in-company",
        "Others that instrument Celery in the same process",
        "a TracerProvider of the application's, contrib's instrumentor, Sentry's "
        "CeleryIntegration, and all together",
        "one publish and one process span for each message, by the application's provider if there "
        "is one; a line of log says that contrib's instrumentor was switched off; an error is one "
        "event",
    ),
    Fault(
        "ddtrace-beside-us",
        "ddtrace in the same process",
        "`ddtrace.auto` before anything else, in the worker and in the program that sends; its "
        "agent is a receiver that counts",
        "tasks end as they do without both; one publish and one process span of ours for each "
        "message",
    ),
    Fault(
        "hooks-that-raise",
        "Faults of our own in every hook",
        "each hook raises, all at once and in three groups, instead of its work or after it; in "
        "a worker with tasks that work, fail, retry, log, and send others",
        "tasks end as they do without us; each fault is counted in `otel_celery.faults` with its "
        "hook, and logged once a minute",
    ),
)

SECRETS = (
    Fault(
        "secrets-asked-for",
        "Arguments and results that were asked for",
        "`OTEL_CELERY_CAPTURE=args,result` with addresses, one of them cut in its password by "
        "Celery, and texts of 100,000 characters",
        "credentials of addresses are redacted, texts are cut to 1,024 characters",
    ),
    Fault(
        "forged-context",
        "A producer that forges its context",
        "500 messages that claim to be of one sampled trace, and a sampler that keeps 10 %",
        "with `OTEL_CELERY_TRACE_STRUCTURE=link` or `ignore` no span is put into that trace and "
        "the worker's own sampler decides; with `parent`, the default, it is believed. Counts are "
        "exact in each case",
    ),
    Fault(
        "strangers-on-the-relay",
        "Strangers on the socket between main and pool processes",
        "another process of the same user sends forged spans and counts, guesses of the secret, "
        "garbage and 150,000 bytes of it, on 50 connections; 50 more say nothing; another user",
        "nothing of it is told, each is counted once in `otel_celery.relay.dropped`, and what the "
        "worker's own processes say arrives; another user cannot connect",
    ),
    Fault(
        "tls",
        "A Collector with TLS and a token, in good and in bad order",
        "certificates of an authority that the worker knows or does not know, for this host or for "
        "another; a server that asks for a certificate, and a worker with and without one",
        "spans and the token go to a server that is trusted and to no other, never in plain text; "
        "one line of log a minute says why, and the spans wait, counted",
    ),
    Fault(
        "secrets-everywhere",
        "Secrets in every place that a task and its settings have",
        "one in arguments, keyword arguments, result, exception (as the password of addresses), "
        "message header, broker, second broker, result backend, environment, OTLP headers and OTLP "
        "endpoint; log records and Sentry on; what makes us log: hooks that raise with such an "
        "address, a Collector that answers 503 and 400",
        "none in what is exported or sent to Sentry; logs of worker, publisher and beat hold what "
        "Celery itself writes there, and nothing on top",
    ),
)

_PLAN = (
    "messages in an order that a seed decides: tasks that succeed, fail, retry, ignore, "
    "reject, go back, publish, die, exit, run into soft and hard limits, are revoked before and "
    "while they run, expire, are unknown or cannot be read; meanwhile pool processes are killed "
    "at random and recycled, the Collector goes away and comes back, the worker is stopped, warm "
    "and cold, and started again, and "
)
_EXACT = (
    "each body that ran has one process span, under its publish span and with its child spans; "
    "each counter is what the app itself wrote into a file, to 1; at each export, consumed is "
    "outcomes plus what is at hand; at rest nothing is at hand"
)
TOGETHER = (
    Fault(
        "long-run",
        "A worker that works for long, its receiver away for a part of it",
        "up to 200,000 tasks, each with a child span, through one worker whose pool processes are "
        "replaced after 1,000; nobody receives in the second quarter (a shorter run has a queue "
        "that is as much smaller)",
        "memory, descriptors, threads and everything that we hold are afterwards what they were; "
        "no more spans wait than the queue holds, what did not fit is counted, counts are exact",
    ),
    Fault(
        "all-at-once-redis",
        "All of it at random, with Redis",
        _PLAN + "Redis, which writes to its disk, is ended and started again",
        _EXACT,
    ),
    Fault(
        "all-at-once-rabbitmq",
        "All of it at random, with RabbitMQ",
        _PLAN + "all connections to RabbitMQ are cut",
        _EXACT,
    ),
)

GROUPS: Mapping[str, tuple[Fault, ...]] = {
    "The Collector": COLLECTOR,
    "Broker and result backend": BROKER,
    "Processes that end": PROCESSES,
    "Forks and signals": FORKS,
    "Clocks, sizes and texts": CONTENTS,
    "Messages of others": MESSAGES,
    "Other software in the process": COMPANY,
    "Secrets and strangers": SECRETS,
    "Everything at once": TOGETHER,
}
FAULTS = tuple(fault for group in GROUPS.values() for fault in group)
