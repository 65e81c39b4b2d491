"""Quantizes a graph by placing Q/DQ pairs in it. The same statistics serve both placements."""

from __future__ import annotations

import copy
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
    """Return the names of the tensors whose statistics either placement needs, in the graph's order."""
    graph = Graph(model)
    plans = [make(graph, rules) for rules in RULES.values()]
    wanted = {tensor for plan in plans for tensor in plan.readers}
    return [name for node in graph.nodes for name in names(node.outputs) if name in wanted]


def blocks(model: onnx.ModelProto, placement: Placement = "cpu") -> list[str]:
    """Return the names of the blocks with a convolution or linear layer to quantize, in the graph's order."""
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
        model: A graph in single or half precision. If it is quantized already, the copy is unchanged.
        statistics: The statistics of the same model in single precision.
        placement: The kind of kernels to quantize for.
        method: The method that derives ranges from statistics.
        keep: The names of the blocks that stay in floating point.
        correct_bias: Whether to add to the biases what the outputs lose on average when the weights are rounded.

    Returns:
        The quantized model, and a report on it.

    Raises:
        CalibrationError: If the statistics lack a tensor of the model, or if the model computes in half precision and
            ``placement`` is "cpu".
    """
    graph, rules = Graph(model), RULES[placement]
    plan = make(graph, rules, keep)
    costs = statistics.macs or macs(graph, shapes(graph))
    _require_single(graph, plan, placement)
    _require_statistics(statistics, graph, plan)
    if not plan.readers:
        return copy.deepcopy(model), describe(graph, costs, placement, method, keep)
    scales = _scales(graph, plan, statistics, method, all_symmetric=rules.symmetric)
    means = {name: statistics.tensors[graph.key(name)].means for name in plan.readers} if correct_bias else {}
    quantized = _insert_pairs(graph, QuantizePass(graph, plan, scales, means, quantized_bias=rules.bias))
    return quantized, describe(graph, costs, placement, method, keep)


def _insert_pairs(graph: Graph, quantize_pass: QuantizePass) -> onnx.ModelProto:
    """Quantize the model of ``graph`` in place; return it after ONNX's checker has accepted it."""
    quantize_pass(graph.model)
    RemoveUnusedNodesPass()(graph.model)
    quantized = ir.to_proto(graph.model)
    onnx.checker.check_model(quantized)
    return quantized


def _require_single(graph: Graph, plan: Plan, placement: Placement) -> None:
    if RULES[placement].bias and any(graph.dtype(tensor) == ir.DataType.FLOAT16 for tensor in plan.readers):
        raise CalibrationError(
            f"the placement {placement!r} takes graphs in single precision, this one computes in half precision: "
            "export it with --precision fp32"
        )


def _require_statistics(statistics: Statistics, graph: Graph, plan: Plan) -> None:
    missing = [graph.key(tensor) for tensor in plan.readers if graph.key(tensor) not in statistics.tensors]
    if missing:
        raise CalibrationError(
            f"the statistics lack {len(missing)} tensors of the model, {missing[0]} first: they are another model's, "
            "calibrate this one"
        )


def _scales(
    graph: Graph, plan: Plan, statistics: Statistics, method: RangeMethod, *, all_symmetric: bool
) -> dict[str, Scale]:
    """Return the scale of each tensor to quantize; tensors that share a range get the same one."""
    groups: dict[str, list[Histogram]] = {}
    for tensor in plan.readers:
        groups.setdefault(plan.group(tensor), []).append(statistics.tensors[graph.key(tensor)].histogram)
    symmetric = set(groups) if all_symmetric else {plan.group(tensor) for tensor in plan.symmetric}
    ranges = {
        group: find(reduce(Histogram.merge, members), method, symmetric=group in symmetric)
        for group, members in groups.items()
    }
    scales = {}
    for tensor in plan.readers:
        group = plan.group(tensor)
        scales[tensor] = activation_scale(ranges[group], _float_type(graph, tensor), symmetric=group in symmetric)
    return scales


def _float_type(graph: Graph, tensor: str) -> np.dtype[np.floating]:
    half = graph.dtype(tensor) == ir.DataType.FLOAT16
    return np.dtype(np.float16) if half else np.dtype(np.float32)
