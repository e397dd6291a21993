"""What does a container's configuration say where there is no container?

Paths of a container become paths below a folder, addresses become ports of the loopback. Nothing
else differs from what Docker would run.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from collector.native.compose import Service

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"
_ADDRESS = re.compile(r"(?<![\w.-])([a-z][\w.-]*|\d+\.\d+\.\d+\.\d+):(\d{2,5})(?![\w.:]*\d)")
_ITSELF = frozenset({LOOPBACK, EVERYWHERE, "localhost"})

Ports = Mapping[tuple[str, int], int]
"""(service, port in its container) -> port of the loopback."""


class Translation:
    """Of one service.

    Args:
        service: as docker-compose.yml describes it.
        everyone: all services, because a published port is known by its number alone.
        folder: where the container's files go.
        ports: of all services.
    """

    def __init__(
        self, service: Service, everyone: Iterable[Service], folder: Path, ports: Ports
    ) -> None:
        self._service, self._folder, self._ports = service, folder, ports
        self._published = {
            outside: (other.name, inside)
            for other in everyone
            for inside, outside in other.published.items()
        }
        self._paths = re.compile(
            "|".join(rf"{re.escape(mount.target)}(?=[/:\s\"']|$)" for mount in service.mounts)
            or "$^"
        )

    def path(self, target: str) -> Path:
        """Return where a path of the container is."""
        return self._folder / target.lstrip("/")

    def text(self, text: str) -> str:
        """Return a word of a command, a variable's value or a file's text with its new words."""
        moved = self._paths.sub(lambda found: str(self.path(found[0])), text)
        return _ADDRESS.sub(self._address, moved)

    def environ(self) -> dict[str, str]:
        """Return the container's variables; hosts and ports of its own may stand apart there."""
        return {name: self._value(text) for name, text in self._service.environ.items()}

    def _value(self, text: str) -> str:
        if text == EVERYWHERE:
            return LOOPBACK
        own = self._ports.get((self._service.name, int(text))) if text.isdigit() else None
        return self.text(text) if own is None else str(own)

    def lay_out(self) -> None:
        """Copy what is mounted, translated, and make the folders of volumes."""
        for mount in self._service.mounts:
            target = self.path(mount.target)
            if mount.source is None:
                target.mkdir(parents=True, exist_ok=True)
            elif mount.source.is_dir():
                shutil.copytree(mount.source, target, dirs_exist_ok=True, copy_function=self._copy)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._copy(mount.source, target)

    def _copy(self, source: str | Path, target: str | Path) -> None:
        Path(target).write_text(self.text(Path(source).read_text()))

    def _address(self, found: re.Match[str]) -> str:
        host, port = found[1], int(found[2])
        whose = (self._service.name if host in _ITSELF else host, port)
        if whose not in self._ports and host in _ITSELF:
            whose = self._published.get(port, whose)
        return f"{LOOPBACK}:{self._ports[whose]}" if whose in self._ports else found[0]
