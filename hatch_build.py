"""Compiles the panoptic merge while the package is built; without a compiler the package does without.

PEM_EDGE_MERGE says otherwise, as it does when the package is used: "compiled" makes it an error not to have it, and
"numpy" leaves it out.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "pem_edge"
NATIVE = Path("runtime", "inference", "postprocess", "native")


class CompiledMerge(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library into a wheel, whose tag then names the platform, or beside its sources if that is editable."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless told not to."""
        demanded = os.environ.get("PEM_EDGE_MERGE")
        if demanded == "numpy":
            return
        build = _load(Path(self.root) / NATIVE / "build.py")
        try:
            if version == "editable":
                build.build_in_place()
            else:
                self._include(build, build_data)
        except build.CompileError as error:
            if demanded == "compiled":
                raise
            self.app.display_warning(f"the panoptic merge will run in NumPy, which is slower: {error}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was compiled for the wheel."""
        if self._scratch:
            self._scratch.cleanup()

    _scratch: tempfile.TemporaryDirectory[str] | None = None

    def _include(self, build: ModuleType, build_data: dict[str, Any]) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="pem-edge-")
        place = build.library_path()
        library = Path(self._scratch.name) / place.name
        build.compile_library(library)
        build_data["force_include"][str(library)] = str(PACKAGE / place.relative_to(self.root))
        platform = self.build_config.builder.get_best_matching_tag().rpartition("-")[2]
        build_data["pure_python"], build_data["tag"] = False, f"py3-none-{platform}"


def _load(path: Path) -> ModuleType:
    """Load a module from its file, since its package needs what is not there while this one is built."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
