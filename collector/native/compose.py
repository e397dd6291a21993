"""Which services does docker-compose.yml describe?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Mount:
    """A folder or file of a container."""

    target: str
    source: Path | None  # None: a volume of Docker's, empty at first


@dataclass(frozen=True)
class Service:
    """What a container is told, and what others know of it."""

    name: str
    image: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    published: Mapping[int, int]  # port in the container -> port of this machine
    exposed: tuple[int, ...]  # ports in the container that only the other services reach
    mounts: tuple[Mount, ...]
    needs: tuple[str, ...]
    profiles: tuple[str, ...]
    healthcheck: tuple[str, ...]


def services(variables: Mapping[str, str], path: Path = COMPOSE) -> dict[str, Service]:
    """Return the services of all profiles by name.

    Args:
        variables: for `${NAME:-default}`.
        path: of the file.
    """
    told = yaml.safe_load(path.read_text())
    volumes = frozenset(told["volumes"])
    return {
        name: _service(name, row, volumes, path.parent, variables)
        for name, row in told["services"].items()
    }


def _service(
    name: str, row: Mapping[str, Any], volumes: frozenset[str], root: Path, given: Mapping[str, str]
) -> Service:
    def text(value: object) -> str:
        return _VARIABLE.sub(lambda found: given.get(found[1]) or found[2] or "", str(value))

    ports = [text(port).rsplit(":", 2)[1:] for port in row.get("ports", ())]
    return Service(
        name,
        row["image"],
        tuple(text(part) for part in row.get("command", ())),
        {key: text(value) for key, value in row.get("environment", {}).items()},
        {int(inside): int(outside) for outside, inside in ports},
        tuple(int(port) for port in row.get("expose", ())),
        (
            *(_mount(text(volume), volumes, root) for volume in row.get("volumes", ())),
            *(Mount(target, None) for target in row.get("tmpfs", ())),
        ),
        tuple(row.get("depends_on", ())),
        tuple(row.get("profiles", ())),
        tuple(row.get("healthcheck", {}).get("test", ()))[1:],
    )


def _mount(volume: str, volumes: frozenset[str], root: Path) -> Mount:
    source, target, *_ = volume.split(":")
    return Mount(target, None if source in volumes else root / source)
