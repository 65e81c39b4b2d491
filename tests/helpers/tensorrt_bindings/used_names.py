"""The names of TensorRT's that our sources use, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

MODULE = "trt"
CLASSES = {
    "builder": "Builder",
    "cache": "ITimingCache",
    "config": "IBuilderConfig",
    "configured": "IBuilderConfig",
    "context": "IExecutionContext",
    "engine": "ICudaEngine",
    "inspector": "EngineInspector",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "registry": "IPluginRegistry",
    "runtime": "Runtime",
}
"""The class of a variable or attribute of that name, less underscores in front, unless it is annotated as another's."""

_RESULTS = {
    "create_builder_config": "IBuilderConfig",
    "get_plugin_registry": "IPluginRegistry",
    "get_timing_cache": "ITimingCache",
}
_Function = ast.FunctionDef | ast.Lambda


class Name(NamedTuple):
    """``attribute`` of a class of TensorRT's, or of its module where that is ""."""

    owner: str
    attribute: str


def used_names(source: str, classes: Mapping[str, str] = CLASSES) -> set[Name]:
    """Names in ``source``, less those in functions that ask first, by ``hasattr``, whether they are there."""
    tree = ast.parse(source)
    imported = {alias.asname or alias.name for node in ast.walk(tree) for alias in _aliases(node)}
    return set(_in(tree, {name: owner for name, owner in classes.items() if name not in imported}))


def _in(scope: ast.AST, classes: Mapping[str, str]) -> Iterator[Name]:
    """Those in ``scope`` and what it contains."""
    own = _own_nodes(scope)
    asked_for = {name for node in own if (name := _asked(node, classes))}
    for node in own:
        if isinstance(node, ast.Attribute) and (owner := _owner(node.value, classes)) is not None:
            yield from {Name(owner, node.attr)} - asked_for
        if isinstance(node, ast.ClassDef):
            yield from _overridden(node, classes)
        if isinstance(node, _Function):
            yield from _in(node, _without_others(node, classes))


def _own_nodes(scope: ast.AST) -> list[ast.AST]:
    """All nodes below ``scope``, functions too, but not what these contain."""
    nodes: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if not isinstance(node, _Function):
            waiting.extend(ast.iter_child_nodes(node))
    return nodes


def _owner(node: ast.expr, classes: Mapping[str, str]) -> str | None:
    """The class that ``node`` is, or is an instance of; "" for the module; None if it is nothing of TensorRT's."""
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        return _RESULTS.get(called) or _owner(node.func, classes)
    if isinstance(node, ast.Attribute) and _owner(node.value, classes) == "":
        return node.attr
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return "" if name.lstrip("_") == MODULE else classes.get(name.lstrip("_"))


def _asked(node: ast.AST, classes: Mapping[str, str]) -> Name | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr":
        owner, attribute = _owner(node.args[0], classes), node.args[1]
        if owner is not None and isinstance(attribute, ast.Constant):
            return Name(owner, str(attribute.value))
    return None


def _overridden(node: ast.ClassDef, classes: Mapping[str, str]) -> Iterator[Name]:
    """Methods of a class that inherits from TensorRT's are called by TensorRT under the names it knows."""
    for base in node.bases:
        if owner := _owner(base, classes):
            methods = (item.name for item in node.body if isinstance(item, ast.FunctionDef))
            yield from (Name(owner, method) for method in methods if not method.startswith("_"))


def _without_others(function: _Function, classes: Mapping[str, str]) -> dict[str, str]:
    """``classes`` less the parameters that are annotated as something of ours."""
    parameters = [*function.args.args, *function.args.kwonlyargs]
    others = {p.arg for p in parameters if p.annotation is not None and ast.unparse(p.annotation) != "Any"}
    return {name: owner for name, owner in classes.items() if name not in others}


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else []
