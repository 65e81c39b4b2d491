"""Examines everything and writes the report."""

from __future__ import annotations

from pem_edge.runtime.diagnosis import privacy, probing
from pem_edge.runtime.diagnosis import verdict as sums
from pem_edge.runtime.diagnosis.schema import Report
from pem_edge.runtime.diagnosis.sections import (
    board,
    compiled,
    folders,
    graphics,
    hardware,
    installation,
    opencv,
    packages,
    surroundings,
)
from pem_edge.runtime.diagnosis.trials import backends
from pem_edge.runtime.version import __version__

_SECTIONS = {
    "installation": installation.PROBES,
    "packages": packages.PROBES,
    "video": opencv.PROBES,
    "machine": hardware.PROBES,
    "gpu": graphics.PROBES,
    "jetson": board.PROBES,
    "compiled": compiled.PROBES,
    "folders": folders.PROBES,
    "surroundings": surroundings.PROBES,
}


def examine() -> Report:
    """Return the report. It takes some seconds, and nothing is raised; private names are removed from it."""
    sections = probing.gather(_SECTIONS)
    tried = backends.examine()
    errors = sums.errors(sections, tried)
    report = Report(
        version=__version__,
        sections=sections,
        backends=tried,
        ready=not errors,
        verdict=sums.verdict(sections, tried),
        errors=errors,
    )
    return privacy.scrub(report)
