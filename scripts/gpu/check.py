"""Runs the sections of the GPU check, each as far as this machine allows, and writes one JSON and one page."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

from pem_edge.runtime.backends.cuda import driver
from pem_edge.runtime.errors import BackendError
from scripts.gpu import machine, page

Section = dict[str, Any]
SIZES = ("512x1024", "1024x2048")
VARIANTS = ("pem-nano", "pem-stdc1", "pem-stdc2", "pem-r50")


class Missing(Exception):  # noqa: N818  # no error: the reason why a section is left out
    """What a section needs and this machine lacks."""


def main() -> int:
    """Run the check; return 0 if nothing failed. What could not be run is reported, and not a failure."""
    options = _parse()
    reason = machine.without_gpu()
    sections: dict[str, Callable[[], Section]] = {
        "kernels": lambda: _kernels(options.tensorrt_include),
        "pipeline": _pipeline,
        "tests": _tests,
        "engines": lambda: _engines(options.out, options.variant, options.size),
    }
    report: Section = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "machine": machine.describe()}
    for name, section in sections.items():
        print(f"gpu_check: {name}", file=sys.stderr)
        report[name] = {"skipped": reason} if reason else _run(section)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu_check.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.out / "gpu_check.md").write_text(page.render(report))
    print(options.out / "gpu_check.md")
    return int(any(report[name].get("failed") for name in sections))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=__doc__)
    parser.add_argument("--tensorrt-include", type=Path, metavar="DIR", help="folder of TensorRT's headers, NvInfer.h")
    parser.add_argument("-o", "--out", type=Path, default=Path("out/gpu_check"), metavar="DIR")
    parser.add_argument("--size", nargs="+", default=SIZES, metavar="HxW", help=f"default: {' '.join(SIZES)}")
    parser.add_argument("--variant", nargs="+", default=VARIANTS, choices=VARIANTS, metavar="NAME")
    return parser.parse_args()


def _run(section: Callable[[], Section]) -> Section:
    try:
        return section()
    except (Missing, ModuleNotFoundError) as reason:
        return {"skipped": str(reason)}
    except Exception as error:  # one section must not take the others with it
        return {"failed": f"{type(error).__name__}: {error}"}


def _kernels(include: Path | None) -> Section:
    if include is None or not (include / "NvInfer.h").exists():
        raise Missing("no TensorRT headers: give the folder of NvInfer.h with --tensorrt-include")
    return dict(import_module("scripts.gpu.kernels").run(include))


def _pipeline() -> Section:
    try:
        driver.nvrtc("nvrtcVersion")
    except BackendError as reason:
        raise Missing(str(reason)) from reason
    return dict(import_module("scripts.gpu.pipeline").run())


def _tests() -> Section:
    """Return the tests that skip where there is no GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/runtime/backends/tensorrt"]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No module named pytest" in done.stderr:
        raise Missing("pytest is not installed: pip install pytest hypothesis")
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()[-300:]]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"summary": lines[-1], **({"failed": failed or lines[-1]} if done.returncode else {})}


def _engines(out: Path, variants: list[str], sizes: list[str]) -> Section:
    import_module("tensorrt")
    return dict(import_module("scripts.gpu.engines").run(out, variants, sizes))


if __name__ == "__main__":
    sys.exit(main())
