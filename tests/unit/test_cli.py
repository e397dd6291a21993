from __future__ import annotations

import pytest

from otel_celery.cli import demo, main, view
from otel_celery.cli.stage import DemoFault


@pytest.fixture
def asked(monkeypatch):
    """What the demo was asked to do, instead of doing it."""
    calls = []

    def run_demo(seconds, otlp, as_json, environ, *, view):
        calls.append((seconds, otlp, as_json, view))
        return 0

    def run_view(host, port, token):
        calls.append((host, port, token))
        return 0

    monkeypatch.setattr(demo, "run_demo", run_demo)
    monkeypatch.setattr(view, "run_view", run_view)
    return calls


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        pytest.param(["demo"], (20.0, "", False, False), id="defaults"),
        pytest.param(["demo", "--seconds", "8", "--json"], (8.0, "", True, False), id="json"),
        pytest.param(
            ["demo", "--otlp", "http://c:4318"],
            (20.0, "http://c:4318", False, False),
            id="collector",
        ),
        pytest.param(["demo", "--view"], (86400.0, "", False, True), id="page-until-stopped"),
        pytest.param(["demo", "--view", "--seconds", "5"], (5.0, "", False, True), id="page"),
        pytest.param(["view"], ("127.0.0.1", 4318, ""), id="view"),
        pytest.param(
            ["view", "--host", "0.0.0.0", "--port", "0", "--token", "t"],
            ("0.0.0.0", 0, "t"),
            id="view-elsewhere",
        ),
    ],
)
def test_arguments_reach_the_command(asked, arguments, call):
    assert (main(arguments), asked) == (0, [call])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "required: command", id="no-command"),
        pytest.param(["demo", "--seconds", "0"], "expected seconds above 0", id="no-time"),
        pytest.param(["demo", "--seconds", "soon"], "expected seconds above 0", id="word"),
        pytest.param(["demo", "--seconds", "nan"], "expected seconds above 0", id="nan"),
        pytest.param(["demo", "--view", "--otlp", "http://c"], "not allowed with", id="both"),
        pytest.param(["view", "--port", "70000"], "expected a port, 0 to 65535", id="no-port"),
        pytest.param(["demo", "--otlp", "c:4318"], "expected a URL such as", id="no-url"),
        pytest.param(["health", "--max-age", "0"], "expected seconds above 0", id="no-age"),
        pytest.param(["health", "--max-depth", "q="], "expected a number of messages", id="depth"),
        pytest.param(["health", "--warn-depth", "-1"], "expected a number of messages", id="minus"),
    ],
)
def test_wrong_arguments_are_refused_with_what_was_expected(asked, arguments, words, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert words in capsys.readouterr().err
    assert asked == []


def test_a_fault_is_one_message_and_no_traceback(monkeypatch, capsys):
    def fail(*arguments, **options):
        raise DemoFault("shop-web ended with 1")

    monkeypatch.setattr(demo, "run_demo", fail)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "otel-celery: shop-web ended with 1\n"
