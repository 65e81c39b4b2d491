"""Metadata tells what is installed, also where some of it is damaged."""

from __future__ import annotations

import pytest

from pem_edge.runtime.installation import distributions, how_to_add
from pem_edge.runtime.installation.distributions import Requirement
from tests.runtime.installation.conftest import METADATA, Write


@pytest.mark.parametrize(
    ("versions", "version", "met"),
    [
        (">=1.20", "1.20", True),
        (">=1.20", "1.20.0rc1", True),
        (">=1.20", "1.9.9", False),
        (">=1.20,<2", "2.0", False),
        (">=12.9.1,<13", "12.9.10", True),
        ("==2.4.1", "2.4.1", True),
        ("==2.4.1", "2.4", False),
        ("", "anything", True),
        (">=1.20", "2026.4.1-22982-abc", True),
        (">=1.20", "unknown", False),
    ],
)
def test_versions_are_compared_by_their_numbers(versions: str, version: str, met: bool) -> None:
    assert Requirement("any", versions).is_met_by(version) is met


def test_extras_are_those_of_pyproject() -> None:
    assert {"ort", "ort-gpu", "openvino", "trt", "trt-rtx", "export", "hub", "train"} <= set(distributions.extras())
    assert Requirement("onnxruntime", ">=1.20") in distributions.requirements("ort")
    assert {each.name for each in distributions.requirements("trt")} >= {"cuda-bindings", "polygraphy"}
    assert {"numpy", "msgspec", "opencv-python-headless"} <= {each.name for each in distributions.requirements(None)}


@pytest.mark.parametrize(
    "content", ["", "Name: x\xff\xfe", "Metadata-Version: 2.1\nName: odd-one\n", "\x00" * 100], ids=repr
)
def test_damaged_metadata_hides_nothing(content: str, package: Write) -> None:
    package("odd-one", content)
    assert distributions.installed()["numpy"]
    assert len(distributions.damaged()) == 1


def test_only_builds_of_onnx_runtime_give_way_to_another(package: Write) -> None:
    for name in ("onnxruntime-extensions", "onnxruntime-genai", "onnxruntime-ep-openvino"):
        package(name, METADATA.format(name, "1.0"))
    assert list(distributions.onnxruntimes()) == ["onnxruntime"], "the others have files of their own"
    assert how_to_add("ort-gpu").startswith("pip uninstall -y onnxruntime && pip install ")
    distributions.installed.cache_clear()
    package("onnxruntime-openvino", METADATA.format("onnxruntime_openvino", "1.0"))
    assert set(distributions.onnxruntimes()) == {"onnxruntime", "onnxruntime-openvino"}
    builds = " ".join(distributions.onnxruntimes())
    assert how_to_add("ort-gpu").startswith(f"pip uninstall -y {builds} && pip install ")
