from __future__ import annotations

import os
from pathlib import Path

from otel_celery.cli.broker import Broker, folder_broker, redis_broker
from otel_celery.cli.stage import build_environ, find_shop, send_here, send_there

BROKER = Broker("redis", "a broker", {"CELERY_BROKER_URL": "redis://b"})


def test_the_shop_of_a_checkout_is_found():
    assert sorted(path.name for path in find_shop().glob("*.py")) == [
        "files.py",
        "shop.py",
        "web.py",
    ]


def test_nothing_of_the_persons_telemetry_reaches_the_private_shop():
    theirs = {"OTEL_SDK_DISABLED": "true", "SENTRY_DSN": "https://k@h/1", "PATH": "/bin"}
    environ = send_here(theirs, "http://127.0.0.1:1")
    assert {name: environ.get(name) for name in (*theirs, "OTEL_EXPORTER_OTLP_ENDPOINT")} == {
        "OTEL_SDK_DISABLED": None,
        "SENTRY_DSN": None,
        "PATH": "/bin",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    }


def test_a_collector_gets_the_persons_own_settings():
    theirs = {"OTEL_EXPORTER_OTLP_HEADERS": "key=1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert send_there(theirs, "http://c:4317") == {
        **theirs,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317",
    }


def test_the_shop_is_importable_and_so_is_a_checkout():
    environ = build_environ({"PYTHONPATH": "/theirs"}, BROKER, Path("/src/examples/shop"))
    path = environ["PYTHONPATH"].split(os.pathsep)
    assert (path[0], path[2], len(path)) == ("/src/examples/shop", "/theirs", 3)


def test_an_installed_shop_adds_nothing_else_to_the_path():
    environ = build_environ({}, BROKER, Path("/site/otel_celery/cli/shop"))
    assert environ["PYTHONPATH"] == "/site/otel_celery/cli/shop"


def test_redis_keeps_messages_and_results_apart():
    assert redis_broker(6400).environ == {
        "CELERY_BROKER_URL": "redis://127.0.0.1:6400/0",
        "CELERY_RESULT_BACKEND": "redis://127.0.0.1:6400/1",
    }


def test_files_are_the_broker_where_there_is_no_redis(tmp_path):
    broker = folder_broker(tmp_path, "redis-server is not on PATH")
    assert broker.remark.endswith("no task gets killed (redis-server is not on PATH)")
    assert broker.environ["SHOP_FOLDER"] == str(tmp_path)
    assert (tmp_path / "messages").is_dir()
