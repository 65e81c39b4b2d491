"""The report as a page of Markdown: first what it says, then all tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripts.gpu.reporting import summary
from scripts.reports.markdown import table

TITLES = {
    "kernels": "The plugin's kernels, without TensorRT",
    "networks": "Whole networks in PyTorch with the plugin's kernels, without TensorRT",
    "pipeline": "From a frame to its panoptic map, without TensorRT",
    "engines": "Engines",
    "tests": "Tests that use a GPU",
    "compiled": "Whole networks by torch.compile",
}
DRY = "**A dry run on a CPU: it shows that the check itself works. Its times mean nothing.**"


def render(report: Mapping[str, Any]) -> str:
    """Return the page of what `scripts.gpu.check` found until now."""
    parts = [f"# GPU check, {report['date']}", *([DRY] if report["dry"] else [])]
    parts += ["\n".join(f"- {line}" for line in summary.lines(report["sections"], timed=not report["dry"]))]
    parts += [table(["machine", ""], [[key, str(value)] for key, value in report["machine"].items()])]
    for name, section in report["sections"].items():
        parts += [f"## {TITLES[name]}", *_section(section)]
    return "\n\n".join(parts) + "\n"


def _section(section: Mapping[str, Any]) -> Iterator[str]:
    reason = f": {section['reason']}" if section["reason"] else ""
    yield f"State: {section['state']}{reason}."
    for title in ("failed", "not reached"):
        if section[title]:
            yield "\n".join([f"**{title.capitalize()}**:", "", *(f"- {line}" for line in section[title])])
    for title, rows in section["tables"].items():
        yield f"### {title}"
        yield _table(rows)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    header = list(dict.fromkeys(key for row in rows for key in row))
    return table(header, [[_text(row.get(key, "")) for key in header] for row in rows])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_text(each)}" for key, each in value.items())
    return str(value).replace("|", "\\|").replace("\n", " ")
