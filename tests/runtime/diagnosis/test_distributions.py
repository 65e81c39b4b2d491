"""What is installed is read from metadata, some of which is damaged."""

from __future__ import annotations

import pytest

from pem_edge.runtime.diagnosis.sections import opencv, packages
from pem_edge.runtime.installation import distributions, how_to_add
from pem_edge.runtime.installation.distributions import Requirement
from tests.runtime.diagnosis.conftest import Write

METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n"


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
def test_damaged_metadata_is_a_finding_and_hides_nothing(content: str, package: Write) -> None:
    package("odd-one", content)
    assert distributions.installed()["numpy"]
    assert len(distributions.damaged()) == 1
    finding = packages.PROBES["metadata"]()["metadata"]
    assert finding.status == "warning"
    assert "cannot be read" in finding.value


def test_several_opencvs_are_a_finding(package: Write) -> None:
    package("opencv-python", METADATA.format("opencv-python", "4.9.0"))
    package("opencv-contrib-python-headless", METADATA.format("opencv_contrib_python_headless", "4.8.0"))
    finding = opencv.PROBES["opencv_packages"]()["opencv_packages"]
    assert "opencv-python 4.9.0" in finding.value
    assert "opencv-contrib-python-headless 4.8.0" in finding.value
    assert (finding.cure or "").startswith("pip uninstall -y opencv-")
    assert (finding.cure or "").endswith("&& pip install opencv-python-headless")


def test_one_opencv_is_no_finding() -> None:
    assert opencv.PROBES["opencv_packages"]() == {}


def test_an_opencv_that_needs_a_desktop_is_replaced_by_the_one_that_does_not(package: Write, library: Write) -> None:
    package("opencv-python", METADATA.format("opencv-python", "4.9.0"))
    library("cv2", "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')")
    finding = opencv.PROBES["opencv"]()["opencv"]
    assert finding.status == "broken"
    assert finding.value.startswith("cannot be imported (ImportError: libGL.so.1")
    assert finding.cure == "pip uninstall -y opencv-python && pip install --force-reinstall opencv-python-headless"


def test_two_onnx_runtimes_are_a_finding_and_the_gpus_takes_the_place_of_the_other(package: Write) -> None:
    assert packages.PROBES["onnxruntime_packages"]() == {}
    assert how_to_add("ort-gpu").startswith("pip uninstall -y onnxruntime && pip install ")
    distributions.installed.cache_clear()
    package("onnxruntime-gpu", METADATA.format("onnxruntime-gpu", "1.19.0"))
    finding = packages.PROBES["onnxruntime_packages"]()["onnxruntime_packages"]
    assert "onnxruntime-gpu 1.19.0" in finding.value
    assert (finding.cure or "").startswith("pip uninstall -y ")
    assert finding.status == "warning"


def test_only_builds_of_onnx_runtime_give_way_to_another(package: Write) -> None:
    for name in ("onnxruntime-extensions", "onnxruntime-genai", "onnxruntime-ep-openvino"):
        package(name, METADATA.format(name, "1.0"))
    assert packages.PROBES["onnxruntime_packages"]() == {}, "they have files of their own"
    assert how_to_add("ort-gpu").startswith("pip uninstall -y onnxruntime && pip install ")
    distributions.installed.cache_clear()
    package("onnxruntime-openvino", METADATA.format("onnxruntime_openvino", "1.0"))
    assert set(distributions.onnxruntimes()) == {"onnxruntime", "onnxruntime-openvino"}
    builds = " ".join(distributions.onnxruntimes())
    assert how_to_add("ort-gpu").startswith(f"pip uninstall -y {builds} && pip install ")


def test_a_version_that_is_too_old_is_named_with_what_is_needed(package: Write) -> None:
    package("openvino", METADATA.format("openvino", "2024.1.0"))
    finding = packages.PROBES["extras"]()["extra_openvino"]
    assert finding.status == "warning"
    assert finding.value == "openvino 2024.1.0; needed is openvino >=2025.0"


def test_a_base_library_that_is_too_old_or_broken(library: Write) -> None:
    library("PIL", "__version__ = '9.0.0'")
    library("numpy", "raise ImportError('numpy.core.multiarray failed to import')")
    pillow, numpy = packages.PROBES["pillow"]()["pillow"], packages.PROBES["numpy"]()["numpy"]
    assert (pillow.status, pillow.cure) == ("warning", "pip install 'pillow>=10.3'")
    assert (numpy.status, numpy.cure) == ("broken", "pip install --force-reinstall numpy")
