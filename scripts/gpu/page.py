"""The GPU check as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.reports.markdown import table

SECTIONS = {
    "kernels": "The plugin's kernels, without TensorRT",
    "pipeline": "The kernels before and after the model, without TensorRT",
    "tests": "Tests that need a GPU",
    "networks": "Whole networks in PyTorch with the plugin's kernels, without TensorRT",
    "engines": "TensorRT engines",
}


def render(report: Mapping[str, Any]) -> str:
    """Return the page of what `scripts.gpu.check` found."""
    parts = [
        f"# GPU check, {report['date']}",
        table(["machine", ""], [[key, str(value)] for key, value in report["machine"].items()]),
    ]
    for name, title in SECTIONS.items():
        parts += [f"## {title}", *_section(name, report[name])]
    return "\n\n".join(parts) + "\n"


def _section(name: str, found: Mapping[str, Any]) -> list[str]:
    if "skipped" in found:
        return [f"Not run: {found['skipped']}."]
    failed = found.get("failed")
    parts = [f"**Failed**: {failed}"] if failed else []
    if name == "engines" and "rows" in found:
        return [*parts, _engines(found["rows"]), *_stages(found["rows"])]
    return [*parts, *_tree({key: value for key, value in found.items() if key != "failed"})]


def _engines(rows: Sequence[Mapping[str, Any]]) -> str:
    header = [
        "variant",
        "size",
        "precision",
        "deformable convolution",
        "parity",
        "ms (host), p50",
        "p99",
        "FPS",
        "ms (device), p50",
        "CV",
    ]
    return table(header, [_engine(row) for row in rows])


def _engine(row: Mapping[str, Any]) -> list[str]:
    name = [row["variant"], row["size"], row["precision"]]
    if "milliseconds" not in row:
        return [*name, *["-"] * 7]
    host, device, parity = row["milliseconds"]["host"], row["milliseconds"]["device"], row["parity"]
    agree = f"{parity['within_tolerance']} of {parity['images']}, {parity['worst']['agreement']:.2%}"
    times = [
        f"{host['p50']:.2f}",
        f"{host['p99']:.2f}",
        f"{host['fps']:.0f}",
        f"{device['p50']:.2f}",
        f"{host['cv']:.1%}",
    ]
    return [*name, row["deform_conv"], agree, *times]


def _stages(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the times of each stage, for each engine that has them."""
    parts = []
    for row in rows:
        if "stages" in row:
            name = " ".join(row[key] for key in ("variant", "size", "precision"))
            kinds = {key: value for key, value in row["stages"].items() if isinstance(value, Mapping)}
            lines = [[kind, _text(times)] for kind, times in kinds.items()]
            title = f"{name}, pipeline: {row['stages']['pipeline']}"
            parts += [f"### {title}", table(["from image to map, ms, p50", ""], lines)]
    return parts


def _tree(found: Mapping[str, Any]) -> list[str]:
    """Return lists of records as tables, all else as one table of keys and values."""
    plain = [[key, _text(value)] for key, value in found.items() if not _is_table(value)]
    parts = [table(["", ""], plain)] if plain else []
    for key, value in found.items():
        if _is_table(value):
            header = list(value[0])
            parts += [f"### {key}", table(header, [[_text(row.get(cell, "")) for cell in header] for row in value])]
    return parts


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(f"{k} {_text(v)}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
