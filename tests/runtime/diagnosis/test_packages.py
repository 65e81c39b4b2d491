"""Packages that are damaged, too old, or overwrite each other are findings with a cure."""

from __future__ import annotations

from pem_edge.runtime.diagnosis.sections import opencv, packages
from pem_edge.runtime.installation import distributions, how_to_add
from tests.runtime.installation.conftest import METADATA, Write


def test_damaged_metadata_is_a_finding(package: Write) -> None:
    package("odd-one", "")
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
