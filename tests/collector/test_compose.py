"""docker-compose.yml is what Docker accepts, and runs what the native stack runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from collector.native.compose import COMPOSE, ROOT, Service, services
from collector.native.stack import NATIVE
from collector.native.translate import Translation

SERVICES = services({})
PROFILES = {"tempo", "rabbitmq", "flower", "cadvisor", "loki"}
NOT_NATIVE = {"grafana", "tempo", "loki", "rabbitmq", "flower", "cadvisor"}
NAMED_BY_IMAGE = {"web", "worker", "beat", "collector", "bugsink"}
OWN_IMAGES = {"otel-celery-shop", "otelcol-celery"}


def each_service() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)


@pytest.mark.stack
@pytest.mark.parametrize("profile", ["", *sorted(PROFILES)])
def test_compose_takes_it(program: Callable[[str], Path], profile: str):
    """The parser that `docker compose` is built on."""
    done = subprocess.run(
        [program("compose-check"), COMPOSE.name],
        cwd=ROOT, env={"COMPOSE_PROFILES": profile}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.stack
def test_compose_refuses_a_word_it_does_not_know(program: Callable[[str], Path], tmp_path: Path):
    """The check above can fail."""
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("image: redis", "imagge: redis"))
    done = subprocess.run(
        [program("compose-check"), str(wrong)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0


def test_all_services_are_known():
    """One that is added is run natively, or said not to be."""
    assert {*NATIVE, *NOT_NATIVE} == set(SERVICES)
    assert {profile for service in SERVICES.values() for profile in service.profiles} == PROFILES


@each_service()
def test_everything_mounted_exists(service: Service):
    sources = [mount.source for mount in service.mounts if mount.source is not None]
    assert [source for source in sources if not source.exists()] == []


@each_service()
def test_ports_are_for_this_machine_only(service: Service):
    told = yaml.safe_load(COMPOSE.read_text())["services"][service.name].get("ports", [])
    assert [port for port in told if not port.startswith("127.0.0.1:")] == []


@each_service()
def test_images_are_pinned(service: Service):
    """A tag with a version, or built from this tree."""
    name, _, tag = service.image.partition(":")
    assert tag[:1].isdigit() or tag[:1] == "v" if tag else name in OWN_IMAGES


@each_service()
def test_nobody_is_root_or_sees_docker(service: Service):
    """The images built here and Bugsink's name their user themselves; cAdvisor's is root."""
    told = yaml.safe_load(COMPOSE.read_text())["services"][service.name]
    assert told["cap_drop"] == ["ALL"]
    if service.name not in NAMED_BY_IMAGE | {"cadvisor"}:
        assert int(told["user"].split(":")[0]) > 0
    assert "docker.sock" not in COMPOSE.read_text()


def test_nothing_in_it_is_of_yesterday():
    """Docker warns of `version`; Celery only warns of options that stand behind `flower`."""
    told = yaml.safe_load(COMPOSE.read_text())
    assert "version" not in told
    flower = told["services"]["flower"]
    assert flower["command"] == ["celery", "flower", "--port=5555"]
    assert "CELERY_BROKER_URL" in flower["environment"]


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("redis://redis:6379/0", "redis://127.0.0.1:1001/0"),
        ("http://collector:4318", "http://127.0.0.1:1002"),
        ("--web.listen-address=0.0.0.0:9090", "--web.listen-address=127.0.0.1:1003"),
        ("http://127.0.0.1:16686/trace/{trace_id}", "http://127.0.0.1:1004/trace/{trace_id}"),
        ("--storage.tsdb.path=/prometheus", "--storage.tsdb.path=FOLDER/prometheus"),
        ("/etc/prometheus/rules/a.yml", "FOLDER/etc/prometheus/rules/a.yml"),
        ("/prometheus-other/a.yml", "/prometheus-other/a.yml"),
        ("other:6379 and 12:30", "other:6379 and 12:30"),
        ("15d", "15d"),
    ],
)
def test_only_addresses_and_paths_differ_here(tmp_path: Path, text: str, here: str):
    ports = {
        ("redis", 6379): 1001, ("collector", 4318): 1002, ("prometheus", 9090): 1003,
        ("jaeger", 16686): 1004,
    }  # fmt: skip
    translation = Translation(SERVICES["prometheus"], SERVICES.values(), tmp_path, ports)
    assert translation.text(text) == here.replace("FOLDER", str(tmp_path))
