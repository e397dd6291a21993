"""Where is a program of the stack, and how does one get it?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from collector.native.build import (
    COLLECTOR,
    STATIC,
    BuildError,
    build_collector,
    go,
    go_environ,
    locked,
    programs,
    run,
)


@dataclass(frozen=True)
class GoProgram:
    """A program that is built from a module of the Go proxy, with that module's own go.sum."""

    module: str
    version: str
    package: str
    go: tuple[int, ...]
    tags: str = ""


@dataclass(frozen=True)
class DebianProgram:
    """A program that Debian has."""

    package: str
    executable: str


# Prometheus without its discovery of clouds, which is half of its code: the stack names its
# targets. The second major version of Jaeger is part of the module of the first.
PROMETHEUS = ("github.com/prometheus/prometheus", "v0.315.0")
ALERTMANAGER = "prometheus-alertmanager"
PROGRAMS: dict[str, GoProgram | DebianProgram] = {
    "prometheus": GoProgram(*PROMETHEUS, "./cmd/prometheus", (1, 26), "remove_all_sd"),
    "promtool": GoProgram(*PROMETHEUS, "./cmd/promtool", (1, 26), "remove_all_sd"),
    "jaeger": GoProgram("github.com/jaegertracing/jaeger", "v1.76.0", "./cmd/jaeger", (1, 25)),
    "compose-check": GoProgram(
        "github.com/compose-spec/compose-go/v2", "v2.16.2", "./cmd", (1, 24)
    ),
    "alertmanager": DebianProgram(ALERTMANAGER, "prometheus-alertmanager"),
    "amtool": DebianProgram(ALERTMANAGER, "amtool"),
    "redis-server": DebianProgram("redis-server", "redis-server"),
}
NAMES = (COLLECTOR, *PROGRAMS)


def find(name: str) -> Path:
    """Return the path of a program of the stack; what Go can build is built, once.

    Raises:
        BuildError: it is not here; the message says what brings it.
    """
    if name == COLLECTOR:
        return build_collector()
    program = PROGRAMS[name]
    if isinstance(program, DebianProgram):
        found = shutil.which(program.executable)
        if found is None:
            how = f"apt-get install --no-install-recommends {program.package}"
            raise BuildError(f"{program.executable} is not on PATH: {how}")
        return Path(found)
    built = programs() / f"{name}-{program.version}"
    with locked(name):
        if not built.exists():
            _build(name, program, built)
    return built


def _build(name: str, program: GoProgram, target: Path) -> None:
    """Compile in a copy of the module: only there its own go.mod and go.sum count."""
    toolchain = go(program.go)
    environ = {**go_environ(toolchain), "GOWORK": "off"}
    fresh = target.with_name(f"{target.name}.new")
    with tempfile.TemporaryDirectory() as folder:
        coordinates = f"{program.module}@{program.version}"
        told = subprocess.run(
            [toolchain, "mod", "download", "-json", coordinates],
            cwd=folder, env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.returncode:
            raise BuildError(f"cannot download {coordinates}: {told.stdout}{told.stderr}")
        source = Path(folder, "source")
        shutil.copytree(json.loads(told.stdout)["Dir"], source)
        subprocess.run(["chmod", "-R", "u+w", source], check=True)  # the module cache is read-only
        command = [str(toolchain), "build", *STATIC, "-tags", program.tags]
        run(
            f"compiling {target.name}",
            [*command, "-o", str(fresh), program.package],
            source,
            environ,
        )
    fresh.replace(target)


def main() -> None:
    """Build or find the programs that are named, all unless some are, and print their paths."""
    missing = []
    for name in sys.argv[1:] or NAMES:
        try:
            print(find(name))
        except BuildError as why:
            missing.append(str(why))
    if missing:
        sys.exit("\n".join(missing))


if __name__ == "__main__":
    main()
