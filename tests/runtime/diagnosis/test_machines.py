"""Boards, containers and CPUs are described from their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pem_edge.runtime.diagnosis.sections import board, compiled, folders, hardware, surroundings
from tests.runtime.diagnosis.conftest import Write
from tests.runtime.helpers.trees import put

RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025"


def test_a_jetson(tmp_path: Path, command: Write) -> None:
    command("nvpmodel", "echo 'NV Power Mode: MODE_15W'; echo 2")
    command("jetson_clocks", "echo 'cpu0: Online=1 MinFreq=729600 MaxFreq=2201600 CurrentFreq=729600'")
    command("dpkg-query", 'test "$3" = nvidia-jetpack && echo 6.2+b77')
    files = {"etc/nv_tegra_release": RELEASE, "proc/device-tree/model": "NVIDIA Jetson AGX Orin\0"}
    found = board._board(put(tmp_path, files))
    assert {key: finding.value for key, finding in found.items()} == {
        "board": "NVIDIA Jetson AGX Orin",
        "l4t": "36.4.3",
        "jetpack": "6.2+b77",
        "power_mode": "MODE_15W",
        "clocks": "not locked",
    }
    assert found["power_mode"].cure == "for full speed, sudo nvpmodel -m 0"


def test_a_jetson_without_its_tools(tmp_path: Path, command: Write) -> None:
    command("dpkg-query", "echo 'no packages found matching nvidia-jetpack' >&2; exit 1")
    found = board._board(put(tmp_path, {"etc/nv_tegra_release": "nonsense", "proc/device-tree/model": "NVIDIA Jetson"}))
    assert found["l4t"].value.startswith("unknown")
    assert found["jetpack"].cure == "for TensorRT and CUDA, sudo apt install nvidia-jetpack"
    assert (found["power_mode"].value, found["clocks"].value) == (
        "unknown",
        "unknown: jetson_clocks only tells root",
    )


def test_other_machines_are_no_jetsons(tmp_path: Path) -> None:
    assert board._board(tmp_path) == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "flags\t\t: fpu avx2 avx512f avx512_vnni",
            "AVX2, AVX-512, AVX-512 VNNI; the processor is fast at INT8, how much a model gains depends on the backend",
        ),
        ("flags\t\t: fpu avx2", "AVX2; INT8 gains little: no VNNI or dot product"),
        (
            "Features\t: fp asimd asimddp",
            "NEON, dot product; the processor is fast at INT8, how much a model gains depends on the backend",
        ),
        (
            "flags\t\t: fpu avx2 avx512f amx_int8 amx_bf16",
            "AVX2, AVX-512, AMX, AMX BF16; the processor is fast at INT8, how much a model gains depends on the backend"
            "; --bf16 makes OpenVINO faster",
        ),
        ("flags\t\t: fpu", "none that make models fast; INT8 gains little: no VNNI or dot product"),
        ("nothing", "unknown: /proc/cpuinfo lists none"),
    ],
)
def test_features_of_the_cpu(line: str, said: str, tmp_path: Path) -> None:
    root = put(tmp_path, {"proc/cpuinfo": f"processor\t: 0\n{line}\n"})
    assert hardware._features(root)["features"].value == said


def test_limits_of_a_container(tmp_path: Path) -> None:
    meminfo = "MemTotal:       24684096 kB\nMemAvailable:   20000000 kB\n"
    root = put(tmp_path, {"proc/meminfo": meminfo, "sys/fs/cgroup/cpu.max": "20000 100000"})
    assert "a quota of 0.2 CPUs" in hardware._cpu(root)["cores"].value
    assert hardware._cpu(root)["cores"].value.startswith("1 of ")
    assert hardware._memory(root)["memory"].value == "19.1 GiB free of 23.5 GiB"
    put(root, {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"})
    assert hardware._memory(root)["memory"].value == "19.1 GiB free of 23.5 GiB", "v1 without a limit"
    put(root, {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(1 << 31)})
    assert hardware._memory(root)["memory"].value == "19.1 GiB free; the control group allows 2.0 GiB"
    put(root, {"sys/fs/cgroup/memory.max": str(1 << 29)})
    assert hardware._memory(root)["memory"].status == "warning"


def test_a_machine_without_proc(tmp_path: Path) -> None:
    assert hardware._memory(tmp_path)["memory"].value.startswith("unknown")
    assert hardware._features(tmp_path)["features"].value.startswith("unknown")
    assert hardware._cpu(tmp_path)["cores"].status == "ok"


def test_cameras_that_this_user_may_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert surroundings._cameras(tmp_path)["cameras"].value == "none at /dev/video*"
    put(tmp_path, {"dev/video0": "", "dev/video1": ""})
    assert surroundings._cameras(tmp_path)["cameras"].value == "/dev/video0, /dev/video1"
    monkeypatch.setattr("os.access", lambda *_: False)  # root may open everything
    finding = surroundings._cameras(tmp_path)["cameras"]
    assert (finding.status, finding.value[-6:]) == ("warning", "open 2")
    assert (finding.cure or "").startswith("sudo usermod -aG video")


def test_a_cache_that_cannot_be_written_and_one_that_has_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "not there yet" in folders._cache()["cache"].value
    put(tmp_path, {"pem-edge/kernels/a": "x" * 3_000_000})
    assert folders._cache()["cache"].value.startswith(f"{tmp_path}/pem-edge, 3.0 MB; ")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")
    finding = folders._cache()["cache"]
    assert finding.status == "warning"
    assert "set XDG_CACHE_HOME" in (finding.cure or "")


def test_the_merge_by_numpy_is_told_with_what_helps(monkeypatch: pytest.MonkeyPatch, command: Write) -> None:
    monkeypatch.setenv("PEM_EDGE_MERGE", "numpy")
    command("cc", "echo cc 1.0")
    finding = compiled._merge()["merge"]
    assert (finding.status, finding.value) == ("warning", "by NumPy, which is slower")
    assert (finding.cure or "").startswith("python -m pem_edge.")
