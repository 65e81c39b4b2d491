#!/usr/bin/env python
"""Put what an export and a run printed as JSON into one page of Markdown: report.md in the folder given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    folder = Path(sys.argv[1])
    exported, ran = (json.loads((folder / name).read_text()) for name in ("export.json", "run.json"))
    manifest = json.loads(Path(exported["manifest"]).read_text())
    image = ran["images"][0]
    sections = [
        heading(manifest),
        parity(exported["parity"]),
        stages(image),
        segments(image),
        "![overlay](photograph_overlay.png)",
    ]
    (folder / "report.md").write_text("\n\n".join(sections) + "\n")


def heading(manifest: dict[str, Any]) -> str:
    size = manifest["input"]
    return (
        f"# {manifest['variant']} at {size['height']}x{size['width']}, {manifest['precision']}\n\n"
        f"Checkpoint `{manifest['checkpoint']['file']}` (SHA-256 {manifest['checkpoint']['sha256'][:12]}…), "
        f"{len(manifest['classes'])} classes; deformable convolution: {manifest['deform_conv']}; built by "
        + ", ".join(f"{name} {version}" for name, version in manifest["built_by"].items())
        + "."
    )


def parity(results: dict[str, Any]) -> str:
    rows = [
        [
            backend,
            f"{result['within_tolerance']} of {result['images']}",
            f"{result['median']['logits']:.1e}",
            f"{result['median']['masks']:.1e}",
            f"{result['worst']['agreement']:.3%}",
        ]
        for backend, result in results.items()
    ]
    header = [
        "backend",
        "images within tolerance",
        "class logits, median",
        "mask logits, median",
        "pixels that agree, worst",
    ]
    return "## The artifact against the PyTorch module\n\n" + table(header, rows)


def stages(image: dict[str, Any]) -> str:
    rows = [[stage, f"{time:.1f}"] for stage, time in image["milliseconds"].items()]
    return "## The first picture, milliseconds\n\n" + table(["stage", "ms"], rows)


def segments(image: dict[str, Any]) -> str:
    rows = [[str(s["id"]), s["label"], f"{s['score']:.2f}", str(s["area"])] for s in image["segments"]]
    return "## What was found\n\n" + table(["id", "class", "score", "pixels"], rows)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    main()
