"""What only a database and a folder have."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from otel_celery.queues.generic import FilesystemReader, SqlAlchemyReader
from otel_celery.queues.reading import QueueReading
from tests.brokers.conftest import NOLOAD, NOW, connect, filesystem_broker, sqlalchemy_broker

pytestmark = pytest.mark.broker


def test_a_database_without_tables_stays_without(tmp_path: Path) -> None:
    """kombu would create them as soon as it is asked for its session."""
    pytest.importorskip("sqlalchemy")
    file = tmp_path / "broker.sqlite"
    with connect(f"sqla+sqlite:///{file}") as connection:
        assert SqlAlchemyReader().read(connection.channel(), ["busy"]) == []
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert list(database.iterdump()) == ["BEGIN TRANSACTION;", "COMMIT;"]


@NOLOAD
def test_acknowledged_rows_are_not_taken_for_unacked_ones(tmp_path: Path) -> None:
    """kombu leaves both in the table, and nothing tells them apart."""
    with sqlalchemy_broker(tmp_path) as broker:
        broker.publish("busy")
        broker.publish("busy")
        broker.take("busy").ack()
        broker.take("busy")
        assert broker.read("busy") == {"busy": QueueReading("busy", 0, oldest_age=0.0)}


@NOLOAD
def test_a_round_leaves_no_transaction_open(tmp_path: Path) -> None:
    """It would hold back the database, and show later rounds what the first one saw."""
    with sqlalchemy_broker(tmp_path) as broker:
        broker.publish("busy")
        with broker.connection.channel() as channel:
            broker.reader.read(channel, ["busy"])
            assert not channel.session.in_transaction()


def test_a_queue_whose_name_ends_another_is_not_that_other(tmp_path: Path) -> None:
    """`mail` and `eu.mail` lie in one folder."""
    with filesystem_broker(tmp_path) as broker:
        broker.publish("eu.mail", sent_at=NOW - 1)
        broker.publish("mail", sent_at=NOW - 2)
        assert broker.read("mail", "eu.mail", "eu") == {
            "mail": QueueReading("mail", 1, oldest_age=pytest.approx(2.0, abs=0.001)),
            "eu.mail": QueueReading("eu.mail", 1, oldest_age=pytest.approx(1.0, abs=0.001)),
            "eu": QueueReading("eu", 0, oldest_age=0.0),
        }


def test_a_folder_that_is_not_there_is_an_error_and_not_made(tmp_path: Path) -> None:
    """Most likely it is not mounted."""
    folder = tmp_path / "absent"
    with connect("filesystem://", data_folder_in=str(folder)) as connection:
        channel = connection.channel()
        with pytest.raises(FileNotFoundError):
            FilesystemReader().read(channel, ["busy"])
    assert not folder.exists()
