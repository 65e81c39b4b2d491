"""A traced graph without what is constant, computed twice or for nothing, its nodes named after their modules."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnxscript import optimizer
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

_SCOPES = "pkg.torch.onnx.name_scopes"
_FOLD_UP_TO = 1 << 24
"""Elements of the largest tensor that may be computed at export instead of at every run."""

_ROUNDS = 2
"""Of folding and rewriting: each finds something in what the other leaves."""

_RULES = (
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.cast_cast_rule,
    rules.materialize_reshape_shape_rule,
    rules.reshape_reshape_rule,
    rules.transpose_transpose_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.squeeze_reshape_1d_rule,
    rules.normalize_pad_format_conv_rule,
    rules.fuse_pad_into_conv_rule,
    rules.remove_optional_bias_from_conv_rule,
)
"""Those of onnxscript's that apply here. All of them take more than half of the time of an export, most of it for one
that compares each node with each."""


def clean(model: ir.Model) -> None:
    """Clean ``model`` in place."""
    passes.InlinePass()(model)
    _simplify(model)
    _fold_layer_norms(model.graph)
    _simplify(model)
    _name_nodes(model.graph)
    passes.ClearMetadataAndDocStringPass()(model)


def _simplify(model: ir.Model) -> None:
    for _ in range(_ROUNDS):
        optimizer.fold_constants_ir(
            model, onnx_shape_inference=True, input_size_limit=_FOLD_UP_TO, output_size_limit=_FOLD_UP_TO
        )
        RewritePass(_RULES)(model)
        passes.RemoveUnusedNodesPass()(model)
    for tidy in (
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    ):
        tidy(model)


def _fold_layer_norms(graph: ir.Graph) -> None:
    """Replace LayerNormalization of constants, which the optimizer leaves alone, by its value."""
    for node in graph:
        values = [value.const_value for value in node.inputs if value is not None]
        if node.op_type != "LayerNormalization" or any(value is None for value in values):
            continue
        x, weight, bias = (torch.from_numpy(value.numpy().copy()) for value in values if value is not None)
        epsilon = node.attributes.get_float("epsilon", 1e-5)
        folded = torch.nn.functional.layer_norm(x, weight.shape, weight, bias, epsilon).numpy()
        output = node.outputs[0]
        constant = ir.Value(name=f"{output.name}_folded", const_value=ir.tensor(folded), shape=ir.Shape(folded.shape))
        graph.register_initializer(constant)
        output.replace_all_uses_with(constant)


def _name_nodes(graph: ir.Graph) -> None:
    """Name each node by the module it came from and its operator, such as ``backbone.features.0.conv/Conv``."""
    seen: Counter[str] = Counter()
    for node in graph:
        name = f"{_scope(node)}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}.{seen[name]}"


def _scope(node: ir.Node) -> str:
    scopes = node.metadata_props.get(_SCOPES, "").strip("[]").replace("'", "").split(", ")
    return scopes[-2] if len(scopes) > 2 else "model"
