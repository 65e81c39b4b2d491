"""The findings of a check as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pem_edge.runtime.datasets.checks.schema import ClassCount, DatasetFindings, FaultKind, Findings, Size, Sizes
from pem_edge.runtime.datasets.checks.survey import SMALLEST_THING
from pem_edge.runtime.plurals import plural

_NAME_WIDTH = 24
_COLUMNS = ("kind", "images", "segments", "pixels", "median area")
_MOST_FAULTS = 5
_FAULTS: Mapping[FaultKind, str] = {
    "unlabeled": "without a labeled pixel",
    "no pixels": "with segments that have no pixels",
    "large": "very large",
}
"""What images are that can be read, but have a fault. The broken ones are printed as errors."""


def lines(findings: Findings) -> Iterator[str]:
    """Yield the lines: each dataset with a table of its classes and its faults, the warnings, and the verdict."""
    yield from _dataset("training" if findings.val else "dataset", findings.train)
    if findings.val:
        yield from ("", *_dataset("validation", findings.val))
    yield from ("", *(f"warning: {warning}" for warning in findings.warnings))
    broken = sum(len(found.of_kind("broken")) for found in (findings.train, findings.val) if found)
    notes = f", with {plural(len(findings.warnings), 'warning')}" if findings.warnings else ""
    can = f"it can be trained on{notes}"
    yield f"{plural(broken, 'sample is', 'samples are')} broken: correct or remove what follows" if broken else can


def _dataset(title: str, found: DatasetFindings) -> Iterator[str]:
    sizes = f", {_describe(found.sizes)}" if found.sizes else ""
    yield f"{title}: {plural(found.images, 'image')}{sizes}"
    yield (
        f"void {_percent(found.void)}, {plural(found.crowds, 'crowd')}, "
        f"{plural(found.tiny, 'thing')} below {SMALLEST_THING} pixels"
    )
    yield ""
    yield _line("class", _COLUMNS)
    yield from (_line(each.name, _cells(each)) for each in found.classes)
    for kind, what in _FAULTS.items():
        faults = found.of_kind(kind)
        if faults:
            yield from ("", f"{plural(len(faults), 'image')} {what}:")
            yield from (f"  {fault.message}" for fault in faults[:_MOST_FAULTS])
        if faults[_MOST_FAULTS:]:
            yield f"  and {len(faults) - _MOST_FAULTS} more, which --json lists"


def _describe(sizes: Sizes) -> str:
    if sizes.distinct == 1:
        return _size(sizes.median)
    ends = f"{_size(sizes.smallest)} to {_size(sizes.largest)}"
    return f"{ends}, median {_size(sizes.median)}, {sizes.distinct} sizes"


def _cells(count: ClassCount) -> Sequence[str]:
    area = "-" if count.median_area is None else f"{count.median_area:.0f}"
    share = _percent(count.share) if count.segments else "-"
    return "thing" if count.isthing else "stuff", str(count.images), str(count.segments), share, area


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name[:_NAME_WIDTH]:{_NAME_WIDTH}}" + "".join(
        f"{cell:>{len(title) + 3}}" for cell, title in zip(cells, _COLUMNS, strict=True)
    )


def _percent(share: float) -> str:
    return f"{share:.2g} %" if share < 1 else f"{share:.1f} %"


def _size(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
