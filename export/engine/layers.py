"""Counts layers by the type they compute in, to verify that an engine has the precision its manifest claims."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection
from typing import Literal, NamedTuple, cast

from pem_edge.export.engine.tensorrt.interface import ILayer, INetworkDefinition, TensorRt
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.versioned_json import JsonObject

_TYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "UINT8": "uint8",
}
"""TensorRT's names of types, and the manifest's."""

_WORDS = {"FP32": "float32", "FP16": "float16", **_TYPES}
"""How the inspector's descriptions, such as "Half" or "Row major linear FP16 format", name them."""

_EXPECTED = {"fp32": "float32", "fp16": "float16", "int8": "int8"}
_CONVOLUTIONS = ("CONVOLUTION", "DECONVOLUTION")
_FAIR = 0.1
_LEAST = {"fp32": 0.5, "fp16": 0.5, "int8": _FAIR}
"""Least share of a network's convolutions by precision; of INT8 ones, any number of blocks may be kept out."""


class Layer(NamedTuple):
    """A layer by name, kind and the type of its first output."""

    name: str
    kind: str
    type: str


class Report(NamedTuple):
    """Layers, as listed by the built ``engine`` or, where it can't be asked, by the ``network`` it was built from."""

    source: Literal["engine", "network"]
    layers: list[Layer]
    details: list[JsonObject]

    def counts(self) -> dict[str, int]:
        """Return number of layers by type, the most frequent first."""
        return dict(Counter(layer.type for layer in self.layers).most_common())


def of_network(network: INetworkDefinition) -> Report:
    """Return the layers of a parsed network, constants aside. Strong typing binds the builder to these types.

    A convolution of dequantized values is one in INT8: that is what Q/DQ ask of the builder.
    """
    listed = [network.get_layer(index) for index in range(network.num_layers)]
    dequantized = {layer.get_output(0).name for layer in listed if layer.type.name == "DEQUANTIZE"}
    layers = [
        Layer(layer.name, layer.type.name, _type_in_network(layer, dequantized))
        for layer in listed
        if layer.type.name != "CONSTANT"
    ]
    return Report("network", layers, [layer._asdict() for layer in layers])


def _type_in_network(layer: ILayer, dequantized: Collection[str]) -> str:
    if layer.type.name in _CONVOLUTIONS and layer.get_input(0).name in dequantized:
        return "int8"
    return _TYPES.get(layer.get_output(0).dtype.name, "unknown")


def of_engine(trt: TensorRt, data: bytes | memoryview) -> Report | None:
    """Return the layers of a serialized engine as TensorRT's inspector lists them; None where it cannot be loaded."""
    runtime = trt.Runtime(log.logger(trt))
    engine = runtime.deserialize_cuda_engine(data) if runtime else None
    if engine is None:
        return None
    inspector = engine.create_engine_inspector()
    return read_inspector(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def read_inspector(text: str) -> Report | None:
    """Return the layers in the inspector's JSON; None where it names them and says no more."""
    details = json.loads(text).get("Layers", [])
    if not details or not all(isinstance(layer, dict) for layer in details):
        return None
    layers = [Layer(layer.get("Name", ""), layer.get("LayerType", ""), _type_of(layer)) for layer in details]
    return Report("engine", layers, details)


def require_precision(report: Report, precision: str, source: str) -> None:
    """Raise ExportError unless ``source`` computes in ``precision``.

    Of a network, most convolutions must (in INT8, a fair part); of an engine, which fuses layers into kinds of its own,
    a fair part of all layers. The others are islands, casts and reformats.
    """
    expected = _EXPECTED[precision]
    in_network = report.source == "network"
    judged = [layer for layer in report.layers if not in_network or layer.kind in _CONVOLUTIONS]
    judged = [layer for layer in judged if layer.type in _EXPECTED.values()]
    right = sum(layer.type == expected for layer in judged)
    if right < len(judged) * (_LEAST[precision] if in_network else _FAIR) or (in_network and not judged):
        kind = "convolutions" if in_network else "layers"
        raise ExportError(
            f"{source} claims {precision}, but {right} of its {len(judged)} {kind} compute in {expected}: export the "
            f"checkpoint again, with --precision {precision}"
        )


def _type_of(layer: JsonObject) -> str:
    outputs = cast("list[dict[str, object]]", layer.get("Outputs") or [{}])
    said = next((str(value) for key, value in outputs[0].items() if "datatype" in key.lower()), "")
    words = {word.upper() for word in re.findall(r"\w+", said)}
    return next((name for word, name in _WORDS.items() if word in words), "unknown")
