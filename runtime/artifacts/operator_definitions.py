"""Definitions of a graph's own operators in terms of ONNX's, which an ONNX file carries in its metadata.

Engines have plugins for such operators. ONNX Runtime has none, and runs their definitions, once they are functions of
the model. The file itself does not have them as functions, because TensorRT's parser would prefer those to its plugins.
"""

from __future__ import annotations

from base64 import b64decode

from pem_edge.runtime.artifacts import onnx_file

KEY = "pem-edge.operators"
"""Key of the definitions among a model's metadata: a ModelProto that has functions and nothing else, in base 64."""


_OPSET_IMPORT, _FUNCTIONS = 8, 25  # fields of ModelProto


def with_definitions(model: bytes) -> bytes:
    """Return a serialized ONNX model that has its own operators' definitions as functions.

    Raises:
        ValueError: If ``model`` is no ONNX model, its definitions are damaged, or they refer to other files.
    """
    encoded = onnx_file.metadata(memoryview(model)).get(KEY)
    if encoded is None:
        return model
    definitions = b64decode(encoded, validate=True)
    if {field.number for field in onnx_file.fields(memoryview(definitions))} - {_OPSET_IMPORT, _FUNCTIONS}:
        raise ValueError("has definitions of operators that are more than functions")
    if onnx_file.has_external_data(memoryview(definitions)):
        raise ValueError("has definitions of operators that keep values in other files")
    return model + definitions  # protocol buffers are merged by writing one after the other
