"""How does the Collector get into its wheel?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# A static program asks nothing of the C library: the oldest manylinux is true of it.
PLATFORMS = {
    ("linux", "amd64"): "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    ("linux", "arm64"): "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    ("darwin", "amd64"): "macosx_12_0_x86_64",
    ("darwin", "arm64"): "macosx_12_0_arm64",
}


def load_build() -> ModuleType:
    """Load native/build.py, which stands beside this file in the tree and in the sdist."""
    path = Path(__file__).with_name("native") / "build.py"
    spec = importlib.util.spec_from_file_location("otelcol_celery_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Hook(BuildHookInterface):  # type: ignore[type-arg]
    """Compile the committed sources; GOOS and GOARCH build for another platform."""

    def dependencies(self) -> list[str]:
        build = load_build()
        return [] if build.system_go(build.needed(build.SOURCES)) else [build.pinned()]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        build = load_build()
        target = build.target_platform()
        if target not in PLATFORMS:
            raise build.BuildError(f"no wheel for {'/'.join(target)}, only for {list(PLATFORMS)}")
        build_data["force_include"][str(build.build_collector())] = (
            f"otelcol_celery/{build.COLLECTOR}"
        )
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{PLATFORMS[target]}"
