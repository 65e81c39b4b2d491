"""What machines say of themselves is understood, and what they do not say is unknown."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.machine import cpu, gpu, jetson, quotas, readers, threads

# No capture: written after the tegrastats chapter of the Jetson Linux Developer Guide; -256 is a sensor that is off.
ORIN = (
    "11-21-2026 10:00:00 RAM 2459/30697MB (lfb 6504x4MB) SWAP 0/15348MB (cached 0MB) CPU [1%@729,0%@729,0%@729,off] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 0%@[305,305] VIC_FREQ 729 APE 174 CV0@-256C CPU@46.531C Tboard@36C SOC2@43.125C "
    "GPU@-256C tj@46.531C VDD_GPU_SOC 2403mW/2403mW VDD_CPU_CV 801mW/802mW VIN_SYS_5V0 4032mW/4032mW"
)
# Before L4T 34, as on Xavier and Nano: power without its unit.
XAVIER = (
    "RAM 1903/7772MB (lfb 1x4MB) SWAP 0/3886MB (cached 0MB) CPU [3%@1190,2%@1190] EMC_FREQ 0% GR3D_FREQ 0% AO@38.5C "
    "GPU@38.5C PMIC@100C AUX@38C CPU@39C thermal@38.6C VDD_IN 3521/3521 VDD_CPU_GPU_CV 484/484"
)
# Written after the format of jetson_clocks --show on AGX Orin, no capture.
JETSON_CLOCKS = """\
SOC family:tegra234  Machine:NVIDIA Jetson AGX Orin Developer Kit
Online CPUs: 0-1
cpu0: Online=1 Governor=schedutil MinFreq=729600 MaxFreq=2201600 CurrentFreq=729600 IdleStates: WFI=1 c7=1
cpu1: Online=1 Governor=schedutil MinFreq={least} MaxFreq=2201600 CurrentFreq=1344000 IdleStates: WFI=1 c7=1
cpu2: Online=0 Governor=schedutil MinFreq=729600 MaxFreq=2201600 CurrentFreq=729600 IdleStates: WFI=1 c7=1
GPU MinFreq={gpu} MaxFreq=1300500000 CurrentFreq=306000000
EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=2133000000 FreqOverride=0
FAN Dynamic Speed control=nvfancontrol hwmon0_pwm1=0
NV Power Mode: MODE_30W
"""
X86_CPUINFO = """\
processor	: 0
vendor_id	: AuthenticAMD
model name	: AMD EPYC 9654 96-Core Processor
cpu MHz		: 2596.149

processor	: 1
model name	: AMD EPYC 9654 96-Core Processor
cpu MHz		: 3700.000
"""


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_tegrastats() -> None:
    assert jetson.parse_tegrastats(ORIN) == {
        "temperature": "CPU 47 °C, Tboard 36 °C, SOC2 43 °C, tj 47 °C",
        "power": "VDD_GPU_SOC 2.40 W, VDD_CPU_CV 0.80 W, VIN_SYS_5V0 4.03 W",
    }
    assert jetson.parse_tegrastats(XAVIER)["power"] == "VDD_IN 3.52 W, VDD_CPU_GPU_CV 0.48 W"
    assert jetson.parse_tegrastats("") == {}


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN"),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_15W_6CORE\n2\n", "MODE_15W_6CORE"),
        ("", "unknown"),
    ],
)
def test_power_mode(text: str, mode: str) -> None:
    assert jetson.parse_power_mode(text) == mode


def test_jetson_clocks() -> None:
    free = JETSON_CLOCKS.format(least=729600, gpu=306000000)
    locked = JETSON_CLOCKS.replace("cpu0: Online=1 Governor=schedutil MinFreq=729600", "cpu0: Online=1 MinFreq=2201600")
    assert jetson.parse_clocks(free) == "not locked"
    assert jetson.parse_clocks(locked.format(least=2201600, gpu=1300500000)) == "locked"
    assert jetson.parse_clocks(locked.format(least=2201600, gpu=306000000)) == "not locked"
    assert jetson.parse_clocks("Error: run with sudo") == "unknown"


def test_power_rails_of_ina_chips(tmp_path: Path) -> None:
    chip = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    files = {"in1_label": "VDD_GPU_SOC", "in1_input": "19904", "curr1_input": "120", "in2_label": "NC"}
    assert jetson.rails(put(tmp_path, {f"{chip}/{name}": text for name, text in files.items()})) == "VDD_GPU_SOC 2.39 W"
    assert jetson.rails(tmp_path / "nothing") == "unknown"


def test_boards(tmp_path: Path) -> None:
    assert jetson.model(put(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5 Model B\0"})) is None
    name = "NVIDIA Jetson Orin Nano Developer Kit"
    assert jetson.model(put(tmp_path, {"proc/device-tree/model": f"{name}\0"})) == name


def test_nvidia_smi() -> None:
    found = gpu.parse("NVIDIA H200, 550.54.15, 4, 345, 2619, 29, 78.45, P0")
    assert found == gpu.Gpu("NVIDIA H200", "550.54.15", 4 << 20, "345 MHz", "2619 MHz", "29 °C", "78.45 W", "P0")
    partly = gpu.parse("Orin (nvgpu), 540.3.0, [N/A], [N/A], [N/A], [N/A], [Not Supported], N/A")
    assert partly == gpu.Gpu("Orin (nvgpu)", "540.3.0", None, *["unknown"] * 5)
    assert gpu.parse("") is None
    assert gpu.parse("No devices were found") is None


def test_cpu_of_x86(tmp_path: Path) -> None:
    root = put(tmp_path, {"proc/cpuinfo": X86_CPUINFO})
    assert cpu.name(root) == "AMD EPYC 9654 96-Core Processor"
    assert cpu.clocks(root) == "2596 to 3700 MHz"


def test_clocks_and_governors_of_cpufreq_come_first(tmp_path: Path) -> None:
    folder = "sys/devices/system/cpu"
    files = {
        "cpu0/cpufreq/scaling_cur_freq": "729600",
        "cpu11/cpufreq/scaling_cur_freq": "2201600",
        "cpu0/cpufreq/scaling_governor": "schedutil\n",
        "cpu11/cpufreq/scaling_governor": "performance\n",
    }
    root = put(tmp_path, {"proc/cpuinfo": X86_CPUINFO, **{f"{folder}/{name}": text for name, text in files.items()}})
    assert cpu.clocks(root) == "730 to 2202 MHz"
    assert cpu.governor(root) == "performance, schedutil"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, "1.5 CPUs"),
        ({"cpu.max": "max 100000\n"}, "none"),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "2 CPUs"),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "none"),
        ({"cpu.max": "nonsense"}, "none"),
        ({}, "none"),
    ],
)
def test_quota_of_control_groups(tmp_path: Path, files: dict[str, str], quota: str) -> None:
    assert cpu.quota(put(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})) == quota


def test_memory_is_what_the_group_allows(tmp_path: Path) -> None:
    root = put(tmp_path, {"proc/meminfo": "MemTotal:       24684096 kB\nMemFree: 1 kB\n"})
    assert cpu.memory_bytes(root) == 24684096 * 1024
    assert cpu.memory_bytes(put(root, {"sys/fs/cgroup/memory.max": "1073741824"})) == 1 << 30
    assert cpu.memory_bytes(put(root, {"sys/fs/cgroup/memory.max": "max"})) == 24684096 * 1024
    assert cpu.memory_bytes(tmp_path / "nothing") is None


def test_temperatures_leave_out_sensors_that_are_off(tmp_path: Path) -> None:
    zones = "sys/class/thermal"
    files = {
        "thermal_zone0/type": "cpu-thermal",
        "thermal_zone0/temp": "46531",
        "thermal_zone1/type": "cv0-thermal",
        "thermal_zone1/temp": "-256000",
        "thermal_zone2/type": "broken",
    }
    root = put(tmp_path, {f"{zones}/{name}": text for name, text in files.items()})
    assert cpu.temperatures(root) == "cpu-thermal 47 °C"


@pytest.mark.parametrize(
    ("numbers", "text"), [([0, 1, 2, 5], "0-2,5"), ([3], "3"), ([], ""), ([0, 2, 3, 4, 7, 8], "0,2-4,7-8")]
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert cpu.ranges(numbers) == text


CPU0 = "sys/devices/system/cpu/cpu0"
INA = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
FILES = (
    *("proc/cpuinfo", "proc/meminfo", "proc/self/cgroup", "proc/device-tree/model"),
    *("sys/fs/cgroup/cpu.max", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    *("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/devices/cpu_atom/cpus"),
    *(f"{CPU0}/cpu_capacity", f"{CPU0}/topology/thread_siblings_list"),
    *(f"{CPU0}/cpufreq/scaling_cur_freq", f"{CPU0}/cpufreq/scaling_governor"),
    *("sys/class/thermal/thermal_zone0/type", "sys/class/thermal/thermal_zone0/temp"),
    *(f"{INA}/in1_label", f"{INA}/in1_input", f"{INA}/curr1_input"),
)
NUMBERS = st.sampled_from([b"0", b"-1", b"7", b"1" * 400, b"1" * 5000, "٣".encode(), b"1.2.3", b"\0", b"\xff", b"max"])
TEMPLATES = (
    b"%b",
    b"%b 100000",
    b"1 %b",
    b"0-%b",
    b"%b,1",
    b"MemTotal: %b kB",
    b"cpu MHz: %b",
    b"0::/a%b",
    b"1:cpu,%b:/",
)
CONTENTS = st.binary(max_size=50) | st.builds(lambda text, number: text % number, st.sampled_from(TEMPLATES), NUMBERS)


@given(st.fixed_dictionaries(dict.fromkeys(FILES, CONTENTS)))
def test_whatever_is_in_the_files_nothing_is_raised(contents: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name, content in contents.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        assert (quotas.cpu_quota(root) or 1) > 0
        assert (quotas.memory_limit(root) or 1) > 0
        assert (cpu.memory_bytes(root) or 1) > 0
        assert threads.choose([0, 1], root).count in (1, 2)
        assert threads.usable_cpus(root) >= 1
        for read in (cpu.quota, cpu.governor, cpu.clocks, cpu.temperatures, jetson.rails):
            assert read(root)
        assert all(cpu.features(root))
        assert jetson.model(root) != ""


@given(st.text(max_size=99) | st.sampled_from(["1" * 5000, "٣", "-.", "1.2.3"]))
def test_whatever_commands_print_nothing_is_raised(text: str) -> None:
    gpu.parse(f"H200, 550, {text}, 1, 1, 1, 1, P0")
    jetson.parse_tegrastats(f"CPU@{text}C VDD {text}mW/{text}mW")
    assert jetson.parse_clocks(text)
    assert jetson.parse_power_mode(text)


def test_commands_that_fail_hang_or_are_not_there_are_nothing() -> None:
    start = time.monotonic()
    assert readers.output(["no-such-command"]) is None
    assert readers.output(["sh", "-c", "echo half; exit 3"]) is None
    assert readers.output(["sleep", "60"]) is None
    assert readers.first_line(["no-such-command"]) is None
    assert readers.first_line(["sleep", "60"]) is None
    assert time.monotonic() - start < 30
    assert readers.output(["echo", "all"]) == "all"
    assert readers.first_line(["sh", "-c", "while echo line; do sleep 0.1; done"]) == "line"
