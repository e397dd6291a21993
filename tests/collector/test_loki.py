"""Loki's configuration fits what leads to it, though Loki itself does not run here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "collector" / "grafana" / "provisioning" / "datasources"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def sources() -> dict[str, Any]:
    """Return Grafana's data sources by their uid."""
    found = [one for path in SOURCES.glob("*.yaml") for one in read(path)["datasources"]]
    return {one["uid"]: one for one in found}


def targets(part: Any) -> Iterator[str]:
    """Yield the uid of each data source that a link leads to."""
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key == "datasourceUid")
        for inner in part.values():
            yield from targets(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from targets(inner)


def test_links_between_data_sources_lead_somewhere() -> None:
    """From metrics to traces, from traces to metrics and lines, from lines to traces."""
    found = sources()
    assert set(targets(found)) == {"jaeger", "loki", "prometheus", "tempo"} == set(found)


def test_loki_listens_where_it_is_looked_for() -> None:
    loki = read(ROOT / "collector" / "loki" / "loki.yaml")
    port = loki["server"]["http_listen_port"]
    assert sources()["loki"]["url"] == f"http://loki:{port}"
    service = read(ROOT / "docker-compose.yml")["services"]["loki"]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    overlay = read(ROOT / "collector" / "overlays" / "logs.yaml")
    assert f":{port}" in overlay["exporters"]["otlp_http/loki"]["endpoint"]


def test_loki_keeps_what_it_writes_in_its_volume() -> None:
    """The container's own file system is read-only."""
    loki = read(ROOT / "collector" / "loki" / "loki.yaml")
    service = read(ROOT / "docker-compose.yml")["services"]["loki"]
    (volume,) = (one for one in service["volumes"] if one.startswith("loki-data:"))
    home = volume.partition(":")[2]
    written = [
        loki["common"]["path_prefix"],
        *loki["common"]["storage"]["filesystem"].values(),
        loki["compactor"]["working_directory"],
    ]
    assert all(path == home or path.startswith(f"{home}/") for path in written)
