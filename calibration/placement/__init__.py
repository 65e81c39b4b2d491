"""Places Q/DQ pairs in a graph. One calibration serves both placements."""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from pem_edge.calibration.activations.histograms import Histogram
from pem_edge.calibration.activations.ranges import METHOD, find
from pem_edge.calibration.activations.tensor_statistics import Statistics
from pem_edge.calibration.graph.index import Graph, names
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from pem_edge.calibration.placement.block_names import block_of
from pem_edge.calibration.placement.insert import QuantizePass
from pem_edge.calibration.placement.plan import Plan, make
from pem_edge.calibration.placement.report import Report, describe
from pem_edge.calibration.placement.rules import PLACEMENTS, RULES
from pem_edge.calibration.placement.scales import Scale, activation_scale
from pem_edge.runtime.artifacts.sections import Placement, RangeMethod
from pem_edge.runtime.errors import CalibrationError

__all__ = ["PLACEMENTS", "Placement", "Report", "blocks", "quantize", "tensors"]


def tensors(model: onnx.ModelProto) -> list[str]:
    """Return the tensors whose statistics any placement needs, in the graph's order."""
    graph = Graph(model)
    plans = [make(graph, rules) for rules in RULES.values()]
    wanted = {tensor for plan in plans for tensor in plan.readers}
    return [name for node in graph.nodes for name in names(node.outputs) if name in wanted]


def blocks(model: onnx.ModelProto, placement: Placement = "cpu") -> list[str]:
    """Return the blocks that have a convolution or a linear layer to quantize, in the graph's order."""
    graph = Graph(model)
    plan = make(graph, RULES[placement])
    chosen = {str(node.name) for node in (*plan.convolutions, *plan.linears)}
    return list(dict.fromkeys(block_of(str(node.name)) for node in graph.nodes if node.name in chosen))


def quantize(
    model: onnx.ModelProto,
    statistics: Statistics,
    placement: Placement = "cpu",
    method: RangeMethod = METHOD,
    keep: Collection[str] = (),
    *,
    correct_bias: bool = True,
) -> tuple[onnx.ModelProto, Report]:
    """Return a copy of ``model`` whose ordinary convolutions and linear layers compute in INT8.

    Args:
        model: A graph in single or half precision. One that is quantized already comes back as it is.
        statistics: The statistics of its graph in single precision.
        placement: The kind of kernels to quantize for.
        method: The method that derives ranges from statistics.
        keep: The blocks that stay in floating point.
        correct_bias: Whether biases compensate for the change of the mean that rounding causes.

    Returns:
        The quantized model, and a report on it.

    Raises:
        CalibrationError: If the statistics lack a tensor of the model, or the model computes in half and is for CPUs.
    """
    graph, rules = Graph(model), RULES[placement]
    plan = make(graph, rules, keep)
    costs = statistics.macs or macs(graph, shapes(graph))
    _require_single(graph, plan, placement)
    _require(statistics, graph, plan)
    if not plan.readers:
        unchanged = onnx.ModelProto()
        unchanged.CopyFrom(model)
        return unchanged, describe(graph, costs, placement, method, keep)
    means = {name: statistics.tensors[graph.key(name)].means for name in plan.readers} if correct_bias else {}
    scales = _scales(graph, plan, statistics, method, symmetric=rules.symmetric)
    QuantizePass(graph, plan, scales, means, quantized_bias=rules.bias)(graph.model)
    RemoveUnusedNodesPass()(graph.model)
    quantized = ir.to_proto(graph.model)
    onnx.checker.check_model(quantized)
    return quantized, describe(graph, costs, placement, method, keep)


def _require_single(graph: Graph, plan: Plan, placement: Placement) -> None:
    if RULES[placement].bias and any(graph.dtype(tensor) == ir.DataType.FLOAT16 for tensor in plan.readers):
        raise CalibrationError(
            f"the placement {placement!r} takes graphs in single precision, this one computes in half: export it with "
            "--precision fp32"
        )


def _require(statistics: Statistics, graph: Graph, plan: Plan) -> None:
    missing = [graph.key(tensor) for tensor in plan.readers if graph.key(tensor) not in statistics.tensors]
    if missing:
        raise CalibrationError(
            f"the statistics lack {len(missing)} tensors of the model, {missing[0]} first: they are another model's, "
            "calibrate this one"
        )


def _scales(
    graph: Graph, plan: Plan, statistics: Statistics, method: RangeMethod, *, symmetric: bool
) -> dict[str, Scale]:
    groups: dict[str, list[Histogram]] = {}
    for tensor in plan.readers:
        groups.setdefault(plan.group(tensor), []).append(statistics.tensors[graph.key(tensor)].histogram)
    ranges = {
        group: find(reduce(Histogram.merged, members), method, symmetric=symmetric) for group, members in groups.items()
    }
    return {
        tensor: activation_scale(ranges[plan.group(tensor)], _float(graph, tensor), symmetric=symmetric)
        for tensor in plan.readers
    }


def _float(graph: Graph, tensor: str) -> np.dtype[np.floating]:
    half = graph.dtype(tensor) == ir.DataType.FLOAT16
    return np.dtype(np.float16) if half else np.dtype(np.float32)
