"""Exports, in floating point and in INT8, and builds of engines: each run replaces the artifact of the one before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx

from pem_edge.calibration.activations import tensor_statistics
from pem_edge.runtime.artifacts import artifact, onnx_file
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, Manifest, Thresholds, parse_manifest
from pem_edge.runtime.errors import PemError
from pem_edge.runtime.files import sha256
from scripts.campaign.kills.subject import Inputs, Subject

SIZE = "64x96"


class Export(Subject):
    """An export to ONNX, whose score threshold tells the runs apart."""

    name, command, share = "export", "pem-export", 0.12
    suffix = ".onnx"

    def __init__(self, folder: Path, inputs: Inputs) -> None:
        super().__init__(folder, inputs)
        self.model = self.out / f"street{self.suffix}"
        self.run = 0
        self._before: float | None = None

    @property
    def score(self) -> float:
        """The threshold of this run."""
        return (10 + self.run % 80) / 100

    def arguments(self) -> list[str]:
        self.run += 1
        score = ["--score-threshold", str(self.score), "--overwrite"]
        return ["--weights", "demo", "--size", SIZE, *score, "-o", str(self.model)]

    def expected(self) -> set[str]:
        return {"street.onnx", "street.json"}

    def damages(self) -> Iterator[str]:
        if not self.model.exists():
            return
        try:
            manifest = artifact.read(self.model).manifest
            onnx.load(self.model.with_suffix(".onnx"))
        except (PemError, OSError, ValueError) as error:
            yield f"mixed or half: {error}"
            return
        score = manifest.thresholds.score
        if score not in (self._before, self.score):
            yield f"neither old nor new: score {score}, expected {self._before} or {self.score}"
        self._before = score
        yield from self._mixtures(manifest)

    def _mixtures(self, manifest: Manifest) -> Iterator[str]:
        if msgspec.structs.replace(manifest, model=None) != embedded(self.model):
            yield "mixed: the manifest beside the model is not the one inside it"


class Int8(Export):
    """An INT8 export, and the file of its calibration statistics, which every other run writes anew."""

    name, share = "int8", 0.08

    def arguments(self) -> list[str]:
        if self.run % 2:
            self._cache.unlink(missing_ok=True)
        cache = ["--calib", f"toy:2:{SIZE}:1", "--calib-cache", str(self._cache)]
        return [*super().arguments(), "--precision", "int8", "--placement", "tensorrt", "--remainder", "fp32", *cache]

    def damages(self) -> Iterator[str]:
        yield from super().damages()
        if self._cache.exists():
            try:
                tensor_statistics.load(self._cache)
            except PemError as error:
                yield f"half: {error}"

    @property
    def _cache(self) -> Path:
        return self.folder / "statistics.npz"


class Engine(Export):
    """A build of an engine from an ONNX artifact in another folder, of other weights than the run before."""

    name, share, needs = "engine", 0.2, "tensorrt_rtx"
    suffix = ".engine"

    def arguments(self) -> list[str]:
        self.run += 1
        source = self.folder / "source.onnx"
        proto = onnx.load(self.inputs.onnx)
        bias = next(each for each in proto.graph.initializer if each.name.endswith("bias"))
        bias.raw_data = bytes(len(bias.raw_data) - 4) + self.run.to_bytes(4, "little")
        manifest = msgspec.structs.replace(embedded(self.inputs.onnx), thresholds=Thresholds(self.score))
        onnx.helper.set_model_props(proto, {METADATA_KEY: manifest.to_json().decode()})
        onnx.save(proto, source)
        return ["--weights", str(source), "--to", "trt-rtx", "--inspect", "--overwrite", "-o", str(self.model)]

    def expected(self) -> set[str]:
        return {"street.engine", "street.json", "street.layers.json", "street.onnx"}

    def _mixtures(self, manifest: Manifest) -> Iterator[str]:
        beside = self.model.with_suffix(".onnx")
        waiting = list(self.out.glob(".*.new"))  # which the next run settles
        if manifest.engine is None or (sha256(beside) != manifest.engine.source.sha256 and not waiting):
            yield "mixed: the ONNX beside the engine is not the one that it was built from"


def embedded(model: Path) -> Manifest:
    """Return the manifest inside an ``.onnx`` file."""
    return parse_manifest(onnx_file.metadata(memoryview(model.read_bytes()))[METADATA_KEY].encode(), str(model))
