"""Cleans a traced graph: folds constants, removes duplicate and unused nodes, and names nodes after their modules."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnxscript import optimizer
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

_SCOPES = "pkg.torch.onnx.name_scopes"
"""Metadata key under which PyTorch's exporter lists the modules that a node was traced in, outermost first."""

_MAX_FOLDED_SIZE = 1 << 24
"""Maximum number of elements of a tensor that is computed at export instead of at every run."""

_ROUNDS = 2
"""Number of times to fold and rewrite: folded constants make more rewrites possible, and the other way around."""

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
"""The rewrite rules of onnxscript that apply to our graphs. Running its full set would take more than half of the time
of an export, most of it for one rule that compares each node with every other."""


def clean(model: ir.Model) -> None:
    """Clean ``model`` in place, without changing what it computes."""
    passes.InlinePass()(model)
    _simplify(model)
    _fold_layer_norms(model.graph)
    _simplify(model)
    _name_nodes(model.graph)
    passes.ClearMetadataAndDocStringPass()(model)


def _simplify(model: ir.Model) -> None:
    for _ in range(_ROUNDS):
        optimizer.fold_constants_ir(
            model, onnx_shape_inference=True, input_size_limit=_MAX_FOLDED_SIZE, output_size_limit=_MAX_FOLDED_SIZE
        )
        RewritePass(_RULES)(model)
        passes.RemoveUnusedNodesPass()(model)
    for run_pass in (
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    ):
        run_pass(model)


def _fold_layer_norms(graph: ir.Graph) -> None:
    """Replace each LayerNormalization of constants by its result; onnxscript's constant folding skips this operator."""
    for node in graph:
        constants = [value.const_value for value in node.inputs if value is not None]
        if node.op_type != "LayerNormalization" or any(constant is None for constant in constants):
            continue
        x, weight, bias = (torch.from_numpy(constant.numpy().copy()) for constant in constants if constant is not None)
        epsilon = node.attributes.get_float("epsilon", 1e-5)
        folded = torch.nn.functional.layer_norm(x, weight.shape, weight, bias, epsilon).numpy()
        output = node.outputs[0]
        result = ir.Value(name=f"{output.name}_folded", const_value=ir.tensor(folded), shape=ir.Shape(folded.shape))
        graph.register_initializer(result)
        output.replace_all_uses_with(result)


def _name_nodes(graph: ir.Graph) -> None:
    """Name each node after its module and operator, such as ``backbone.features.0.conv/Conv``."""
    seen: Counter[str] = Counter()
    for node in graph:
        name = f"{_module_path(node)}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}.{seen[name]}"


def _module_path(node: ir.Node) -> str:
    """Return the path of the module that ``node`` was traced in; ``model`` if it was the model itself."""
    scopes = node.metadata_props.get(_SCOPES, "").strip("[]").replace("'", "").split(", ")
    # The first scope is the model itself and the last one is the operator.
    return scopes[-2] if len(scopes) > 2 else "model"
