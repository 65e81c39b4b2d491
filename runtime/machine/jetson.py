"""NVIDIA Jetson: its model, power mode, locked clocks, temperatures and power, by NVIDIA's tools of L4T."""

from __future__ import annotations

import re
from pathlib import Path

from pem_edge.runtime.machine import readers

_ROOT = Path("/")


def model(root: Path = _ROOT) -> str | None:
    """Return the board's name from its device tree, None if this is not a Jetson."""
    found = readers.text(root / "proc/device-tree/model")
    return found if found is not None and ("jetson" in found.lower() or "nvidia" in found.lower()) else None


def power_mode() -> str:
    """Return the mode that ``nvpmodel`` is in."""
    return parse_power_mode(readers.output(["nvpmodel", "-q"]) or "")


def parse_power_mode(text: str) -> str:
    """Return the mode's name in what ``nvpmodel -q`` prints: ``NV Power Mode: MODE_30W``, then its number."""
    found = re.search(r"NV Power Mode\s*:\s*(\S+)", text)
    return found[1] if found else readers.UNKNOWN


def clocks() -> str:
    """Return whether ``jetson_clocks`` has locked the clocks; it only tells root."""
    return parse_clocks(readers.output(["jetson_clocks", "--show"]) or "")


def parse_clocks(text: str) -> str:
    """Return "locked" if the output of ``jetson_clocks --show`` says that the clocks of CPUs and GPU are fixed.

    They are if their least frequency is the greatest. Lines are such as ``cpu0: Online=1 Governor=schedutil
    MinFreq=729600 MaxFreq=2201600 CurrentFreq=...`` (kHz) and ``GPU MinFreq=306000000 MaxFreq=1300500000
    CurrentFreq=...`` (Hz).
    """
    found = re.findall(r"^(?:cpu\d+:.*Online=1.*|GPU )\s*MinFreq=(\d+) MaxFreq=(\d+)", text, re.MULTILINE)
    if not found:
        return readers.UNKNOWN
    return "locked" if all(least == most for least, most in found) else "not locked"


def power_and_temperatures(root: Path = _ROOT) -> dict[str, str]:
    """Return "temperature" and "power" of each sensor, by tegrastats, or else by the INA chips themselves."""
    found = parse_tegrastats(readers.first_line(["tegrastats", "--interval", "500"]) or "")
    return {"power": rails(root), **found}


def parse_tegrastats(line: str) -> dict[str, str]:
    """Return temperatures and power in a line of ``tegrastats``.

    Of each sensor ``CPU@46.5C``, of each rail ``VDD_GPU_SOC 2403mW/2403mW`` (now/average; before L4T 34 without mW).
    """
    degrees = [(name, float(value)) for name, value in re.findall(r"\b(\w+)@(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)C\b", line)]
    watts = [(name, int(value)) for name, value in re.findall(r"\b(\w+) ([0-9]{1,9})(?:mW)?/\d+(?:mW)?(?=\s|$)", line)]
    found = {}
    if known := [f"{name} {value:.0f} °C" for name, value in degrees if value > -100]:  # -256: the sensor is off
        found["temperature"] = ", ".join(known)
    if watts:
        found["power"] = ", ".join(f"{name} {value / 1000:.2f} W" for name, value in watts)
    return found


def rails(root: Path = _ROOT) -> str:
    """Return power of each rail that an INA3221 watches (Linux's hwmon: ``inN_input`` mV, ``currN_input`` mA)."""
    found = []
    for label in readers.files(root / "sys/bus/i2c/drivers/ina3221", "*/hwmon/hwmon*/in[0-9]*_label"):
        number = label.name[2 : -len("_label")]
        volts = readers.number(label.with_name(f"in{number}_input"))
        amperes = readers.number(label.with_name(f"curr{number}_input"))
        if volts is not None and amperes is not None:
            found.append(f"{readers.text(label)} {volts * amperes / 1e6:.2f} W")
    return ", ".join(found) or readers.UNKNOWN
