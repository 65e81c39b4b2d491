"""A graph that was quantized for TensorRT keeps its biases in floating point, in whatever backend it runs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from pem_edge.runtime.backends.ort_sessions import QDQ_OPTIMIZERS, open_session
from pem_edge.runtime.backends.settings import Settings

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
SCALE = float(np.float16(1 / 3000))  # its square has one bit in half precision
GRAPH = """
<ir_version: 9, opset_import: ["": 19]>
quantized (float16[1, 1, 2, 2] x) => (float16[1, 1, 2, 2] y)
<float16 scale, float16 coarse, int8 zero, float16[1] scales, int8[1] zeros, int8[1, 1, 1, 1] weight, float16[1] bias>
{
   steps = QuantizeLinear (x, scale, zero)
   rounded = DequantizeLinear (steps, scale, zero)
   real_weight = DequantizeLinear <axis = 0> (weight, scales, zeros)
   convolved = Conv <kernel_shape = [1, 1]> (rounded, real_weight, bias)
   levels = QuantizeLinear (convolved, coarse, zero)
   y = DequantizeLinear (levels, coarse, zero)
}
"""


def test_a_bias_of_many_steps_is_not_lost_in_half_precision() -> None:
    model = parser.parse_model(GRAPH)
    values = {
        "scale": np.float16(SCALE),
        "coarse": np.float16(1 / 32),
        "zero": np.int8(0),
        "scales": np.array([SCALE], np.float16),
        "zeros": np.array([0], np.int8),
        "weight": np.full((1, 1, 1, 1), 100, np.int8),
        "bias": np.array([3], np.float16),
    }
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(each), name) for name, each in values.items())
    onnx.checker.check_model(model)
    image = np.array([[[[0.0, 0.125], [-0.125, 0.0625]]]], np.float16)
    expected = 3 + image.astype(np.float64) * 100 * SCALE
    session = open_session(model.SerializeToString(), Settings(), QDQ_OPTIMIZERS, provider="cpu")
    (found,) = session.run(None, {"x": image})
    np.testing.assert_allclose(found, expected, atol=1 / 32)
