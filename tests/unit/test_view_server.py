from __future__ import annotations

import socket
import sys

import pytest

from otel_celery.cli import main
from otel_celery.cli.view import greeting
from otel_celery.view.server import Server, ViewFault
from otel_celery.view.store import Store


def server(**given) -> Server:
    """Return one that does not serve; its socket is closed by the collector of garbage."""
    made = Server(Store(), **given)
    made._socket.close()
    return made


def test_on_the_loopback_no_token_is_needed():
    made = server()
    assert (made.token, made.endpoint) == ("", f"http://127.0.0.1:{made.port}")


def test_anywhere_else_a_token_is_made():
    one, other = server(host="0.0.0.0"), server(host="0.0.0.0")
    assert len(one.token) >= 32
    assert one.token != other.token
    assert one.endpoint == f"http://{socket.gethostname()}:{one.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_token_that_is_given_is_asked_for(host):
    assert server(host=host, token="0123456789abcdef").token == "0123456789abcdef"


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(ViewFault, match="at least 16 characters"):
        server(token="secret")


def test_a_port_that_is_taken_is_told_with_what_to_do(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["view", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1, port {port}" in said
    assert "--port takes another one" in said


def test_a_missing_extra_is_told_with_what_to_install(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "otel_celery.view.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["view"]) == 1
    assert "pip install 'otel-celery[view]'" in capsys.readouterr().err


def test_the_greeting_says_where_to_look_and_where_to_send():
    said = greeting("http://127.0.0.1:4318", "", Store())
    assert "Open http://127.0.0.1:4318\n" in said
    assert "export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318\n" in said
    assert "oken" not in said


def test_the_greeting_has_the_token_as_exporters_take_it():
    said = greeting("http://host:4318", "t/k", Store())
    assert "Token: t/k" in said
    assert "export OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20t/k" in said
