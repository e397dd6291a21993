"""The command as a person runs it: a private broker, real processes, an account at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from otel_celery.cli.receiver import Receiver
from otel_celery.view.store import Store
from otel_celery.view.waterfall import is_complete
from tests.services import missing

DEMO = [sys.executable, "-m", "otel_celery.cli", "demo"]
ROOT = Path(__file__).parents[2]


def run(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the demo from a checkout; its temporary files go where we can see them."""
    environ = {**os.environ, "TMPDIR": str(tmp_path), **variables}
    return subprocess.run(
        [*DEMO, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The JSON of one run over eight seconds."""
    folder = tmp_path_factory.mktemp("demo")
    ended = run(folder, "--seconds", "8", "--json")
    assert ended.returncode == 0, ended.stderr
    assert list(folder.iterdir()) == [], "the demo left files behind"
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def tasks(told):
    return {row["name"]: row for row in told["tasks"]}


def test_every_message_is_accounted_for(told):
    ledger = told["ledger"]
    assert (told["ok"], told["missing"]) == (True, [])
    assert ledger["published"] > 50
    assert ledger["published"] == ledger["ended"]
    assert (ledger["waiting"], ledger["running"], ledger["held"]) == (0, 0, 0)
    assert ledger["received"] == ledger["spoken"]


def test_every_run_of_a_task_has_one_outcome(tasks):
    names = ("ok", "failed", "expected", "retried", "requeued", "lost", "timeout")
    for row in tasks.values():
        assert row["runs"] == sum(row[name] for name in names), row


@pytest.mark.parametrize(
    ("task", "outcome"),
    [
        pytest.param("shop.reserve_stock", "ok", id="success"),
        pytest.param("shop.count_stock", "ok", id="sent-by-beat"),
        pytest.param("shop.pack_parcel", "ok", id="chord"),
        pytest.param("shop.apply_voucher", "failed", id="failure"),
        pytest.param("shop.charge_card", "expected", id="expected-failure"),
        pytest.param("shop.send_receipt", "retried", id="retry"),
        pytest.param("shop.resize_photo", "lost", id="killed"),
        pytest.param("shop.book_courier", "timeout", id="time-limit"),
    ],
)
def test_good_and_bad_fates_are_told_apart(tasks, task, outcome):
    assert tasks[task][outcome] > 0, tasks[task]


def test_a_countdown_is_not_waiting(tasks):
    """The reminder has a countdown of two seconds, and waits no longer than others all the same."""
    others = [task["wait"]["p50"] for name, task in tasks.items() if name != "shop.remind_customer"]
    assert tasks["shop.remind_customer"]["wait"]["p50"] < max(others) + 1.0


def test_slow_tasks_are_seen_as_slow(tasks):
    assert 0.4 < tasks["shop.render_invoice"]["run"]["p50"] < 2.5


def test_one_worker_is_one_worker_whatever_its_processes_do(told):
    [worker] = told["workers"]
    assert worker["pool"] == 4
    assert worker["exits"]["signal"] > 0


def test_a_trace_leads_from_the_web_to_the_last_task(told):
    shown = told["traces"]["shown"]
    assert shown[0]["service"] == "shop-web"
    assert {row["kind"] for row in shown} >= {"server", "producer", "consumer"}
    assert told["traces"]["complete"] > 10


def test_a_message_that_comes_again_is_run_again(tasks):
    row = tasks["shop.print_label"]
    assert row["requeued"] == row["ok"] > 0


def test_redis_is_used_where_it_is_installed(told):
    if shutil.which("redis-server") is None:
        missing("redis-server is not on PATH")
    assert told["broker"] == "redis"


def test_without_redis_files_are_the_broker(tmp_path):
    ended = run(tmp_path, "--seconds", "4", "--json", PATH=str(Path(sys.executable).parent))
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["broker"] == "filesystem"


def test_a_collector_gets_it_all_instead(tmp_path):
    store = Store()
    with Receiver(store) as collector:
        ended = run(tmp_path, "--seconds", "3", "--otlp", collector.endpoint)
    assert ended.returncode == 0, ended.stderr
    found = store.snapshot()
    assert any(map(is_complete, found.traces.values()))
    services = {series.service for series in found.numbers}
    assert services == {"shop-web", "shop-worker", "shop-beat"}


def test_a_collector_that_is_not_there_disturbs_nobody(tmp_path):
    ended = run(tmp_path, "--seconds", "2", "--otlp", "http://127.0.0.1:9")
    assert ended.returncode == 0, ended.stderr
    assert "only exit statuses are judged" in ended.stdout


def test_an_interrupt_closes_the_shop_in_order(tmp_path):
    """The account is made all the same, and nothing stays behind."""
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*DEMO, "--seconds", "600"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        said = b""
        while b"selling" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        demo.send_signal(signal.SIGINT)
        said += demo.communicate(timeout=80)[0]
    assert demo.returncode == 0, said.decode()
    assert b"The ledger holds" in said
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_offered_instead_of_the_screen(tmp_path):
    ended = run(tmp_path, "--view", "--seconds", "2")
    assert ended.returncode == 0, ended.stderr
    assert "otel-celery demo: open http://127.0.0.1:" in ended.stdout
    assert "The ledger holds" in ended.stdout
