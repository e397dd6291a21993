"""How do the Collector's Go sources follow from its manifest?"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

from collector.native.build import SOURCES, BuildError, go, go_environ, run

MANIFEST = SOURCES.parent / "builder.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"
COMPONENT = re.compile(r"^(  - gomod: \S+ v)(\d+)\.(\d+)\.(\d+)$", re.MULTILINE)
RELEASE = re.compile(r"^(  version: )(\S+)$", re.MULTILINE)

# The providers count from 1.0, everything else from 0.94; both move with each release.
BEHIND = 94


def version(manifest: str) -> str:
    """Return the release of the Collector that a manifest asks for."""
    found = RELEASE.search(manifest)
    assert found, "the manifest names no version"
    return found[2]


def moved(manifest: str, release: str) -> str:
    """Return the manifest with every component at one release, such as 0.165.0."""
    _, minor, patch = release.split(".")

    def to_release(found: re.Match[str]) -> str:
        stable = found[2] == "1"
        return f"{found[1]}1.{int(minor) - BEHIND}.{patch}" if stable else f"{found[1]}{release}"

    return RELEASE.sub(rf"\g<1>{release}", COMPONENT.sub(to_release, manifest))


def write(manifest: str, folder: Path) -> Path:
    """Write manifest and sources into a folder; return that of the sources."""
    (folder / MANIFEST.name).write_text(manifest)
    toolchain = go()
    builder = f"{BUILDER}@v{version(manifest)}"
    command = [str(toolchain), "run", builder, f"--config={MANIFEST.name}", "--skip-compilation"]
    run("writing the Collector's sources", command, folder, go_environ(toolchain))
    return folder / SOURCES.name


def main() -> None:
    """Write src/ anew, at another release if one is named."""
    asked = argparse.ArgumentParser(description=main.__doc__)
    asked.add_argument("release", nargs="?", help="such as 0.165.0; the manifest's unless given")
    release = asked.parse_args().release
    manifest = MANIFEST.read_text()
    if release:
        manifest = moved(manifest, release)
    with tempfile.TemporaryDirectory() as folder:
        written = write(manifest, Path(folder))
        shutil.rmtree(SOURCES)
        shutil.copytree(written, SOURCES)
        SOURCES.chmod(0o755)
    MANIFEST.write_text(manifest)


if __name__ == "__main__":
    try:
        main()
    except BuildError as failed:
        sys.exit(str(failed))
