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
from onnx import ModelProto, helper, numpy_helper

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
    """``written`` with the times of both engines in its manifest; says if INT8 gains nothing.

    Raises ExportError if the other engine cannot be built, BackendError if one of the two cannot run.
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
    """``manifest`` with the times of a run by precision, measured in or on ``place``."""
    assert manifest.quantization is not None
    quantization = msgspec.structs.replace(manifest.quantization, milliseconds=found, timed_in=place)
    return msgspec.structs.replace(manifest, quantization=quantization)


def without_int8(model: ModelProto) -> ModelProto:
    """A copy of a quantised ``model`` that computes in floating point throughout, with the weights that INT8 left."""
    floating = ModelProto()
    floating.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in floating.graph.initializer}
    quantisers = {node.output[0]: node.input[0] for node in floating.graph.node if node.op_type == "QuantizeLinear"}
    passed: dict[str, str] = {}
    for node in [node for node in floating.graph.node if node.op_type == "DequantizeLinear"]:
        if node.input[0] in constants:
            floating.graph.initializer.append(_dequantised(node, constants))
        else:
            passed[node.output[0]] = quantisers[node.input[0]]
    kept = [node for node in floating.graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    for node in kept:
        node.input[:] = [_origin(name, passed) for name in node.input]
    del floating.graph.node[:]
    floating.graph.node.extend(kept)
    return floating


def _dequantised(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> onnx.TensorProto:
    values, scale = (numpy_helper.to_array(constants[name]) for name in node.input[:2])
    zero = (
        numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else np.zeros_like(scale, values.dtype)
    )
    axis = next((helper.get_attribute_value(each) for each in node.attribute if each.name == "axis"), 1)
    shape = [-1 if index == axis else 1 for index in range(values.ndim)] if scale.ndim else []
    exact = (values.astype(np.float32) - zero.astype(np.float32).reshape(shape)) * scale.astype(np.float32).reshape(
        shape
    )
    return numpy_helper.from_array(exact.astype(scale.dtype), node.output[0])


def _origin(name: str, passed: dict[str, str]) -> str:
    while name in passed:
        name = passed[name]
    return name


def _write(path: Path, written: EngineArtifact, remainder: str) -> None:
    model = without_int8(onnx.load(written.source))
    manifest = artifact.read(written.source).manifest
    plain = {"precision": remainder, "quantization": None, "model": None}
    plain_json = msgspec.structs.replace(manifest, **plain).to_json().decode()
    helper.set_model_props(model, {METADATA_KEY: plain_json})
    onnx.save(model, path)
