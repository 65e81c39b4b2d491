"""A report as lines for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from pem_edge.runtime.diagnosis.schema import BackendFinding, Finding, Report, Status

Marks = Mapping[Status, str]

_MARKS: Marks = {"ok": "✓", "info": "·", "warning": "!", "broken": "✗"}
_ASCII_MARKS: Marks = {"ok": "+", "info": "-", "warning": "!", "broken": "x"}
_TITLES = {
    "installation": "Installation",
    "packages": "Packages",
    "video": "Pictures and videos",
    "machine": "Machine",
    "gpu": "GPU",
    "jetson": "Jetson",
    "compiled": "Compiled parts",
    "folders": "Folders",
    "surroundings": "Surroundings",
}


def marks() -> Marks:
    """Return the marks that standard output can show."""
    try:
        "".join(_MARKS.values()).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _ASCII_MARKS
    return _MARKS


def lines(report: Report, marks: Marks) -> Iterator[str]:
    """Yield the lines: sections of facts, the backends, the legend and the verdict."""
    yield f"pem-doctor of pem-edge {report.version}"
    for key, findings in report.sections.items():
        if findings:
            yield from ("", _TITLES[key])
            yield from (_line(finding.name, finding, marks) for finding in findings.values())
    yield from ("", "Backends, on the demo model")
    yield from (_line(name, finding, marks) for name, finding in report.backends.items())
    meanings = ("as it should be", "for information", "worth a look", "to be repaired")
    yield from ("", ", ".join(f"{mark} {meaning}" for mark, meaning in zip(marks.values(), meanings, strict=True)))
    yield from ("", report.verdict, "Paste this into a bug report: pem-doctor --json")


def _line(name: str, finding: Finding | BackendFinding, marks: Marks) -> str:
    wish = "if you need it, " if finding.status == "info" else ""
    cure = f" -> {wish}{finding.cure}" if finding.cure else ""
    return f"  {marks[finding.status]} {name}: {finding.value}{cure}"
