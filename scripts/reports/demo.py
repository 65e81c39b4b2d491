"""Put what an export, a run and an evaluation printed as JSON into one page: report.md in the folder given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts.reports.markdown import table


def main() -> None:
    folder = Path(sys.argv[1])
    exported, ran, scores = (json.loads((folder / f"{name}.json").read_text()) for name in ("export", "run", "eval"))
    manifest = json.loads(Path(exported["manifest"]).read_text())
    image = ran["images"][0]
    sections = [
        heading(manifest),
        f"![overlay]({Path(image['overlay']).name})",
        parity(exported["parity"]),
        quality(scores),
        stages(image),
        segments(image),
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


def quality(scores: dict[str, Any]) -> str:
    rows = [[name, *(f"{scores['pq'][name][key]:.1f}" for key in ("pq", "sq", "rq"))] for name in scores["pq"]]
    title = f"## On {scores['images']} toy streets it was not trained on, percent (mean IoU {scores['miou']:.1f})"
    return title + "\n\n" + table(["", "PQ", "SQ", "RQ"], rows)


def stages(image: dict[str, Any]) -> str:
    rows = [[stage, f"{time:.1f}"] for stage, time in image["milliseconds"].items()]
    return "## The first picture, milliseconds\n\n" + table(["stage", "ms"], rows)


def segments(image: dict[str, Any]) -> str:
    rows = [[str(s["id"]), s["label"], f"{s['score']:.2f}", str(s["area"])] for s in image["segments"]]
    return "## What was found\n\n" + table(["id", "class", "score", "pixels"], rows)


if __name__ == "__main__":
    main()
