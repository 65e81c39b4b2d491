"""Runs the sections of the GPU check, each as far as this machine allows, and writes one JSON and one page."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import cache
from importlib import import_module
from importlib.util import find_spec
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
    end: float = time.monotonic() + 60 * options.minutes
    reason = machine.without_gpu()
    report: Section = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "machine": machine.describe()}
    report |= {name: {"skipped": "the check ended before it"} for name in page.SECTIONS}

    @cache
    def library() -> Path:
        return _harness(options.tensorrt_include, options.out / "harness")

    def save(name: str, found: Section) -> None:
        report[name] = found
        _write(options.out, report)

    def remaining() -> float:
        return end - time.monotonic()

    sections: dict[str, Callable[[], Section]] = {
        "kernels": lambda: dict(import_module("scripts.gpu.kernels").run(library())),
        "pipeline": _pipeline,
        "tests": lambda: _tests(remaining()),
        "networks": lambda: _networks(library(), remaining, lambda found: save("networks", found)),
        "engines": lambda: _engines(options.out, options.variant, options.size),
    }
    for name, section in sections.items():
        print(f"gpu_check: {name}, {remaining():.0f} s left", file=sys.stderr)
        save(name, {"skipped": reason or "no time was left"} if reason or remaining() < 0 else _run(section))
    print(options.out / "gpu_check.md")
    return int(any(report[name].get("failed") for name in sections))


def _write(out: Path, report: Section) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu_check.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "gpu_check.md").write_text(page.render(report))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=__doc__)
    parser.add_argument("--tensorrt-include", type=Path, metavar="DIR", help="folder of TensorRT's headers, NvInfer.h")
    parser.add_argument("-o", "--out", type=Path, default=Path("out/gpu_check"), metavar="DIR")
    parser.add_argument("--minutes", type=float, default=8, help="start nothing new after this time; default: 8")
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


def _harness(include: Path | None, folder: Path) -> Path:
    """Compile the plugin's kernels so that they can be called without TensorRT; nvcc and CMake are needed."""
    if include is None or not (include / "NvInfer.h").exists():
        raise Missing("no TensorRT headers: give the folder of NvInfer.h with --tensorrt-include")
    folder.mkdir(parents=True, exist_ok=True)
    return Path(
        import_module("pem_edge.export.engine.plugin_build").compile_library("enqueue_harness", include, None, folder)
    )


def _networks(library: Path, remaining: Callable[[], float], save: Callable[[Section], None]) -> Section:
    found: Section = {"rows": []}
    for row in import_module("scripts.gpu.networks").run(library, remaining):
        found["rows"].append(row)
        save(found)
    failed = [f"{row['variant']}: {row['failed']}" for row in found["rows"] if "failed" in row]
    return {**found, **({"failed": "; ".join(failed)} if failed else {})}


def _pipeline() -> Section:
    try:
        driver.nvrtc("nvrtcVersion")
    except BackendError as reason:
        raise Missing(str(reason)) from reason
    return dict(import_module("scripts.gpu.pipeline").run())


def _tests(seconds: float) -> Section:
    """Return the tests that skip where there is no GPU."""
    workers = ["-n", "8"] if find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", "-q", *workers, "tests/runtime/backends/tensorrt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
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
