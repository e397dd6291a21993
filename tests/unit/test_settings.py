"""What may a deployment choose?"""

from __future__ import annotations

import pytest

from otel_celery.errors import ConfigError, MissingExtra, OtelCeleryError
from otel_celery.settings import Settings, rows

DSN = "https://key@sentry.example/7"


def test_what_nobody_chose_has_its_default():
    """An empty environment starts."""
    assert Settings.from_env({}) == Settings(
        queue_interval=15.0,
        queues=(),
        trace_structure="parent",
        trace_url="",
        names="semconv",
        capture=(),
        flush_timeout=3.0,
        sentry_dsn="",
    )


def test_every_setting_can_be_chosen_by_its_variable():
    """Text becomes the typed value."""
    chosen = Settings.from_env(
        {
            "OTEL_CELERY_QUEUE_INTERVAL": "0",
            "OTEL_CELERY_QUEUES": "mail, video,,mail",
            "OTEL_CELERY_TRACE_STRUCTURE": " link ",
            "OTEL_CELERY_TRACE_URL": "https://jaeger.example/trace/{trace_id}",
            "OTEL_CELERY_NAMES": "dup",
            "OTEL_CELERY_CAPTURE": "result,args",
            "OTEL_CELERY_FLUSH_TIMEOUT": "0.5",
            "SENTRY_DSN": DSN,
        }
    )
    assert chosen == Settings(
        queue_interval=0.0,
        queues=("mail", "video"),
        trace_structure="link",
        trace_url="https://jaeger.example/trace/{trace_id}",
        names="dup",
        capture=("result", "args"),
        flush_timeout=0.5,
        sentry_dsn=DSN,
    )


def test_a_value_fixed_in_code_wins_over_the_variable():
    """And is read the same way, typed or as text."""
    environ = {"OTEL_CELERY_QUEUES": "other", "OTEL_CELERY_FLUSH_TIMEOUT": "9"}
    chosen = Settings.from_env(environ, queues=["a", "b"], flush_timeout="2")
    assert (chosen.queues, chosen.flush_timeout) == (("a", "b"), 2.0)


def test_none_and_a_blank_variable_count_as_not_given():
    """So `sentry_dsn=None` leaves the choice to the variable, and "" takes it."""
    environ = {"SENTRY_DSN": DSN, "OTEL_CELERY_NAMES": "  "}
    left = Settings.from_env(environ, sentry_dsn=None)
    assert (left.sentry_dsn, left.names) == (DSN, "semconv")
    assert Settings.from_env(environ, sentry_dsn="").sentry_dsn == ""


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        pytest.param("QUEUE_INTERVAL", "soon", "a number of seconds, 0 or more", id="no-number"),
        pytest.param("QUEUE_INTERVAL", "-1", "a number of seconds, 0 or more", id="negative"),
        pytest.param("QUEUE_INTERVAL", "nan", "a number of seconds, 0 or more", id="nan"),
        pytest.param("FLUSH_TIMEOUT", "0", "a number of seconds above 0", id="no-time-to-flush"),
        pytest.param("FLUSH_TIMEOUT", "inf", "a number of seconds above 0", id="for-ever"),
        pytest.param("TRACE_STRUCTURE", "child", "one of parent, link, ignore", id="structure"),
        pytest.param("NAMES", "old", "one of semconv, contrib, dup", id="names"),
        pytest.param(
            "CAPTURE", "args,kwargs", "any of args, result, separated by commas", id="cap"
        ),
        pytest.param("TRACE_URL", "https://x/", "a URL that contains {trace_id}", id="no-hole"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value_and_what_was_expected(variable, text, expected):
    """The message is enough to mend it."""
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({f"OTEL_CELERY_{variable}": text})
    assert str(caught.value) == f"OTEL_CELERY_{variable}={text!r}: expected {expected}"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"queue_interval": True}, id="bool-is-no-number"),
        pytest.param({"queue_interval": 10**400}, id="beyond-float"),
        pytest.param({"queues": b"a"}, id="bytes-are-no-names"),
        pytest.param({"queues": 3}, id="number-is-no-names"),
        pytest.param({"queues": ["a", 3]}, id="number-among-names"),
        pytest.param({"trace_url": 3}, id="number-is-no-url"),
        pytest.param({"names": 3}, id="number-is-no-word"),
        pytest.param({"sentry_dsn": 3}, id="number-is-no-dsn"),
    ],
)
def test_a_wrong_value_in_code_is_refused_whichever_way_it_comes(given):
    """No invalid `Settings` can exist."""
    (name,) = given
    for build in (Settings, Settings.from_env):
        with pytest.raises(ConfigError, match=f"^{name}=.*: expected "):
            build(**given)


def test_all_faults_are_told_in_one_message():
    """Nobody mends a deployment one restart at a time."""
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({"OTEL_CELERY_NAMES": "x"}, flush_timeout=0, queue_intervall=5)
    assert str(caught.value).split("; ") == [
        "queue_intervall: no such setting, expected one of queue_interval, queues, "
        "trace_structure, trace_url, names, capture, flush_timeout, sentry_dsn",
        "OTEL_CELERY_NAMES='x': expected one of semconv, contrib, dup",
        "flush_timeout=0: expected a number of seconds above 0",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("https://hush@sentry.example/project", id="no-project-number"),
        pytest.param("ftp://hush@sentry.example/7", id="scheme"),
        pytest.param("https://hush@[sentry/7", id="not-even-a-url"),
        pytest.param("hush", id="a-key-alone"),
    ],
)
def test_a_wrong_secret_is_not_quoted(text):
    """Messages end in logs."""
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({"SENTRY_DSN": text})
    assert str(caught.value) == "SENTRY_DSN=***: expected https://<key>@<host>/<project number>"


def test_a_secret_is_not_printed():
    """Neither by repr nor for doctor; where there is none, that may be seen."""
    chosen = Settings.from_env({"SENTRY_DSN": DSN, "OTEL_CELERY_QUEUES": "mail"})
    assert repr(chosen) == (
        "Settings(queue_interval=15.0, queues=('mail',), trace_structure='parent', trace_url='', "
        "names='semconv', capture=(), flush_timeout=3.0, sentry_dsn=***)"
    )
    assert chosen.shown("sentry_dsn") == "***"
    assert Settings().shown("sentry_dsn") == "''"


def test_the_origin_of_a_value_can_be_told():
    """Variable, argument or default: what doctor prints."""
    chosen = Settings.from_env({"OTEL_CELERY_QUEUES": "mail"}, names="dup")
    told = [chosen.origin(name) for name in ("queues", "names", "capture")]
    assert told == ["OTEL_CELERY_QUEUES", "argument", "default"]


def test_settings_do_not_change_and_are_equal_by_value():
    """Where a value came from makes no difference."""
    chosen = Settings.from_env({"OTEL_CELERY_NAMES": "dup"})
    with pytest.raises(AttributeError):
        chosen.names = "semconv"  # type: ignore[misc]
    assert chosen == Settings(names="dup")


def test_every_row_can_be_documented():
    """Variable and sentence are there, and there are at most 15."""
    assert len(rows()) <= 15
    assert all(row.metadata["var"].isupper() and row.metadata["says"] for row in rows())
    assert len({row.metadata["var"] for row in rows()}) == len(rows())


def test_an_error_without_words_says_its_docstring():
    """And a whole start can be guarded by one class."""
    told = MissingExtra()
    assert str(told) == "A setting needs a package that is not installed."
    assert isinstance(told, OtelCeleryError)
    assert str(ConfigError("said")) == "said"


def test_what_is_quoted_of_an_unusable_value_has_no_credentials():
    with pytest.raises(ConfigError) as fault:
        Settings.from_env({"OTEL_CELERY_TRACE_URL": "https://me:pa55@jaeger.example/"})
    assert "https://***@jaeger.example/" in str(fault.value)
    assert "pa55" not in str(fault.value)
