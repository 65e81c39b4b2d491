"""What nvidia-smi says, or does not, is told with what helps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pem_edge.runtime.diagnosis.schema import Findings
from pem_edge.runtime.diagnosis.sections import graphics
from tests.runtime.diagnosis.conftest import Write

HEADER = "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4     |"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a machine without a GPU."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def gpu(root: Path) -> Findings:
    return graphics._gpus(root)


def test_each_gpu_is_a_finding(command: Write, root: Path) -> None:
    command("nvidia-smi", "echo 'NVIDIA H200, 550.54.15, 143771'; echo 'NVIDIA T4, 550.54.15, [N/A]'")
    found = gpu(root)
    assert found["gpu_0"].value == "NVIDIA H200, 140 GiB, driver 550.54.15"
    assert found["gpu_1"].value == "NVIDIA T4, driver 550.54.15"
    assert {each.status for each in found.values()} == {"ok"}


def test_a_tool_that_hangs_is_given_up(command: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command("nvidia-smi", "sleep 100")
    monkeypatch.setattr(graphics, "_SECONDS", 1.0)
    start = time.monotonic()
    assert gpu(root)["gpu"].value == "nvidia-smi did not answer within 1 s"
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("script", "said", "cure"),
    [
        ("echo 'a, b'", "a, b", "install NVIDIA's driver"),
        ("exit 9", "nothing", "install NVIDIA's driver"),
        ("printf '\\377\\376\\n'", "��", "install NVIDIA's driver"),
        ("echo 'No devices were found'; exit 6", "No devices were found", "check that the GPU is given"),
        (
            "echo 'NVML: Driver/library version mismatch'; exit 18",
            "mismatch",
            "restart the machine",
        ),
    ],
)
def test_other_answers_are_quoted_with_what_helps(
    script: str, said: str, cure: str, command: Write, root: Path
) -> None:
    command("nvidia-smi", script)
    finding = gpu(root)["gpu"]
    assert finding.status == "warning"
    assert said in finding.value
    assert (finding.cure or "").startswith(cure)


def test_without_the_tool_the_kernel_is_asked(command: Write, root: Path) -> None:
    command("other", "")
    assert gpu(root)["gpu"].status == "info"
    card = root / "sys/bus/pci/devices/0000:01:00.0"
    card.mkdir(parents=True)
    (card / "vendor").write_text("0x10de\n")
    (card / "class").write_text("0x040300\n")
    assert gpu(root)["gpu"].status == "info", "the sound of a graphics card is no GPU"
    (card / "class").write_text("0x030000\n")
    assert gpu(root)["gpu"].value == "one of NVIDIA without a driver"
    driver = root / "proc/driver/nvidia/version"
    driver.parent.mkdir(parents=True)
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15")
    assert "--gpus all" in (gpu(root)["gpu"].cure or "")
    board = root / "proc/device-tree/model"
    board.parent.mkdir()
    board.write_text("NVIDIA Jetson Orin Nano Developer Kit\0")
    assert gpu(root)["gpu"].value == "that of the NVIDIA Jetson Orin Nano Developer Kit"


def test_a_driver_older_than_the_cuda_of_a_package_is_to_be_repaired() -> None:
    packages = {"tensorrt-rtx-cu13": 13, "tensorrt-cu12": 12}
    finding = graphics._too_old("12.4", packages)["driver"]
    assert finding.status == "broken"
    assert finding.value == "it knows CUDA 12.4, which is older than that of tensorrt-rtx-cu13"
    assert (finding.cure or "").startswith("update it to 580 or later")
    assert graphics._too_old("13.0", packages) == {}


def test_the_cuda_of_the_driver_is_also_read_from_nvidia_smi(command: Write) -> None:
    command("nvidia-smi", f"echo '{HEADER}'")
    assert graphics._known_cuda() == "12.4"


@pytest.mark.parametrize(("value", "hidden"), [("", True), ("-1", True), ("0", False), ("GPU-1234", False)])
def test_gpus_that_the_environment_hides(value: str, hidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert ("hidden" in graphics._hidden()) is hidden
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert graphics._hidden() == {}
