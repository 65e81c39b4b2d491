"""Is an INT8 engine faster than the same graph without INT8? Built and timed where there is a GPU to run both.

Free of PyTorch, like `export.engine`: this is for the machine where the engine will run.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper
from onnx_ir.passes.common import RemoveUnusedNodesPass

from pem_edge.export.engine.artifact import EngineArtifact, export_engine
from pem_edge.export.engine.machine import Machine
from pem_edge.export.engine.settings import Settings
from pem_edge.export.int8 import speed
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, Manifest, path_of
from pem_edge.runtime.files import writing
from pem_edge.runtime.progress import Say


def timed(machine: Machine, written: EngineArtifact, settings: Settings, say: Say) -> EngineArtifact:
    """Return ``written`` with the times of both engines in its manifest; say so if INT8 gains nothing.

    Raises:
        ExportError: If the other engine cannot be built.
        BackendError: If one of the two cannot run.
    """
    say("building the same without INT8, to time both")
    remainder = written.manifest.built_by.remainder
    assert remainder is not None
    with tempfile.TemporaryDirectory(prefix="pem-engine-") as folder:
        source = Path(folder) / "floating.onnx"
        _write(source, written, remainder)
        plain = export_engine(machine, artifact.read(source), source.with_suffix(".engine"), settings, say)
        with (
            closing(backends.create(None, artifact.read(plain.model))) as before,
            closing(backends.create(None, artifact.read(written.model))) as after,
        ):
            found = speed.clock({remainder: before, "int8": after})
    say(speed.verdict(found, remainder, before.name))
    manifest = with_times(written.manifest, found, machine.gpu_name)
    with writing(path_of(written.model)) as file:
        file.write_bytes(manifest.to_json())
    return replace(written, manifest=manifest)


def with_times(manifest: Manifest, found: dict[str, float], place: str) -> Manifest:
    """Return ``manifest`` with the times of a run by precision, measured in or on ``place``."""
    assert manifest.quantization is not None
    quantization = msgspec.structs.replace(manifest.quantization, milliseconds=found, timed_in=place)
    return msgspec.structs.replace(manifest, quantization=quantization)


class WithoutInt8(ir.passes.InPlacePass):
    """Makes a quantized model compute in floating point throughout, with the weights that INT8 left."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace what is dequantized by its values, in place."""
        nodes = [node for node in model.graph if node.op_type == "DequantizeLinear"]
        for node in nodes:
            source, real = node.inputs[0], node.outputs[0]
            assert source is not None
            quantizer = source.producer()
            floating = _dequantized(node) if quantizer is None else quantizer.inputs[0]
            assert floating is not None
            real.replace_all_uses_with(floating)
            if quantizer is None:
                model.graph.register_initializer(floating)
        RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified=bool(nodes))

    def ensures(self, model: ir.Model) -> None:
        """Raise PostconditionError if anything is still quantized."""
        if left := [node.name for node in model.graph if node.op_type in ("QuantizeLinear", "DequantizeLinear")]:
            raise ir.passes.PostconditionError(f"{left[0]} is still there")


def without_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a quantized ``model`` that computes in floating point, with the weights that INT8 left."""
    floating = ir.from_proto(model)
    WithoutInt8()(floating)
    return ir.to_proto(floating)


def _dequantized(node: ir.Node) -> ir.Value:
    """Return what ``node`` makes of a constant as a constant."""
    values, scale, *rest = (_array(value) for value in node.inputs)
    zero = rest[0] if rest else np.zeros_like(scale, values.dtype)
    axis = node.attributes.get_int("axis", 1)
    shape = [-1 if index == axis else 1 for index in range(values.ndim)] if scale.ndim else []
    steps = scale.astype(np.float32).reshape(shape)
    exact = (values.astype(np.float32) - zero.astype(np.float32).reshape(shape)) * steps
    name = f"{node.outputs[0].name}.exact"
    tensor = ir.tensor(exact.astype(scale.dtype), name=name)
    return ir.Value(name=name, shape=ir.Shape(exact.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)


def _array(value: ir.Value | None) -> NDArray[np.generic]:
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def _write(path: Path, written: EngineArtifact, remainder: str) -> None:
    model = without_int8(onnx.load(written.source))
    manifest = artifact.read(written.source).manifest
    plain = {"precision": remainder, "quantization": None, "model": None}
    plain_json = msgspec.structs.replace(manifest, **plain).to_json().decode()
    helper.set_model_props(model, {METADATA_KEY: plain_json})
    onnx.save(model, path)
