"""Engines that need our plugin: where it is missing, and where bringing it would spoil another engine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import onnx as onnx_package
import pytest

from pem_edge.export.engine import artifact as artifact_of_engine
from pem_edge.export.engine import network
from pem_edge.export.engine.artifact import export_engine
from pem_edge.export.engine.build import Built, build
from pem_edge.export.engine.layers import Report
from pem_edge.export.engine.settings import Settings
from pem_edge.export.engine.tensorrt.targets import TARGETS
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.tensorrt.plugins import operator
from pem_edge.runtime.errors import BackendError, ExportError
from tests.export.engine.conftest import machine


@pytest.fixture
def needy() -> Artifact:
    """Return an artifact that claims to need the plugin."""
    demo = artifact.read(artifact.DEMO)
    return Artifact(demo.model, msgspec.structs.replace(demo.manifest, deform_conv="plugin"))


def test_a_plugin_that_is_not_built_is_missed(needy: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEM_EDGE_PLUGIN", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ExportError, match=r"is not built for TensorRT \S+: pem-export --build-plugin$"):
        build(machine(), needy, Settings(), lambda _: None)


def test_a_library_that_is_none_is_refused(needy: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugin.so").write_bytes(b"no library")
    monkeypatch.setenv("PEM_EDGE_PLUGIN", str(tmp_path / "plugin.so"))
    with pytest.raises(BackendError, match=r"cannot load the plugin .*: build it again"):
        build(machine(), needy, Settings(), lambda _: None)


@pytest.mark.parametrize(("attributes", "version"), [({}, "1"), ({"plugin_version": "3"}, "3")])
def test_a_graph_for_another_version_of_the_plugin_is_refused(
    onnx: Path, attributes: dict[str, str], version: str
) -> None:
    """Graphs of earlier releases have other inputs, and no version."""
    proto = onnx_package.load(onnx)
    node = onnx_package.helper.make_node(operator.NAME, ["a", "b", "c", "d", "e"], ["f"], **attributes)
    proto.graph.node.append(node)
    onnx_package.save(proto, onnx)
    with pytest.raises(
        ExportError, match=rf"is for version {version} of our plugin, expected 2: export the checkpoint again$"
    ):
        network.parse(machine().trt, TARGETS["trt"], artifact.read(onnx))


def test_the_plugin_of_another_engine_is_not_replaced(
    needy: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both builds lie in the folder then, and each engine names its own."""
    ours, theirs = tmp_path / "built" / "plugin.so", tmp_path / "out" / "plugin.so"
    for path, content in ((ours, b"new"), (theirs, b"old")):
        path.parent.mkdir()
        path.write_bytes(content)
    report = Report("network", [], [])
    monkeypatch.setattr(artifact_of_engine, "build", lambda *_: Built(memoryview(b"engine"), report, ours, 1.0))
    written = export_engine(
        machine(), needy, tmp_path / "out" / "street.engine", Settings(), lambda _: None, verify=False
    )
    assert written.manifest.engine is not None
    plugin = written.manifest.engine.plugin
    assert plugin is not None
    assert plugin.file.startswith("plugin-")
    assert (theirs.read_bytes(), (tmp_path / "out" / plugin.file).read_bytes()) == (b"old", b"new")
    again = export_engine(machine(), needy, tmp_path / "out" / "lane.engine", Settings(), lambda _: None, verify=False)
    assert again.manifest.engine is not None
    assert again.manifest.engine.plugin == plugin
    assert len(list(tmp_path.glob("out/*.so"))) == 2
