"""The check of a training set and its validation set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.checks.doubles import between
from pem_edge.runtime.datasets.checks.schema import DatasetFindings, Double, DoubleKind, Findings
from pem_edge.runtime.datasets.checks.survey import Survey
from pem_edge.runtime.plurals import first_few, plural

_DOUBLES: Mapping[DoubleKind, tuple[str, str]] = {
    "same": ("the same as an earlier one", "remove all but one of each"),
    "labels differ": ("the same as an earlier one, but labeled differently", "keep the right labels only"),
    "similar": ("nearly the same as an earlier one", "add other pictures, or of a video fewer frames"),
}
"""What a kind of double is, and what to do about it."""


def conclude(train: Survey, val: Survey | None = None) -> Findings:
    """Return what was found in a training set and, if there is one, in its validation set, and what to warn of."""
    found = train.findings()
    warnings = [*_of_classes(found), *_of_doubles(found.doubles)]
    if val is None:
        return Findings(train=found, val=None, shared=[], warnings=warnings)
    found_val, shared = val.findings(), between(train.prints, val.prints)
    warnings += _of_other_classes(train.labels, val.labels)
    warnings += _of_untrained(found, found_val)
    warnings += _of_shared(shared, found_val)
    return Findings(train=found, val=found_val, shared=shared, warnings=warnings)


def _of_classes(found: DatasetFindings) -> Iterator[str]:
    seen = [each for each in found.classes if each.segments]
    unseen = [each.name for each in found.classes if not each.segments]
    if len(seen) == 1:
        yield f"only one class occurs, {seen[0].name!r}, so there is nothing to tell apart: label more classes"
    if not any(each.isthing for each in found.classes):
        yield (
            "no class is a thing, so that panoptic training learns semantic segmentation: give isthing 1 to classes "
            "whose objects are segments of their own"
        )
    if unseen and seen:
        yield (
            f"{plural(len(unseen), 'class occurs', 'classes occur')} nowhere, {first_few(map(repr, unseen))}: add "
            "pictures of them, or remove them from the categories"
        )


def _of_doubles(doubles: Sequence[Double]) -> Iterator[str]:
    for kind, (what, cure) in _DOUBLES.items():
        found = [double for double in doubles if double.kind == kind]
        if found:
            first = found[0]
            count = plural(len(found), "image is", "images are")
            yield f"{count} {what}, such as {first.image}, like {first.like}: {cure}"


def _of_other_classes(train: Sequence[Label], val: Sequence[Label]) -> Iterator[str]:
    known = {label.name: label.isthing for label in train}
    strange = [label.name for label in val if label.name not in known]
    missing = [name for name in known if name not in {label.name for label in val}]
    turned = [label.name for label in val if known.get(label.name, label.isthing) != label.isthing]
    if strange or missing:
        sides = (
            f"only {side} has {first_few(map(repr, names))}"
            for side, names in (("the validation set", strange), ("the training set", missing))
            if names
        )
        yield f"the classes differ by name: {'; '.join(sides)}: give both the same categories"
    if turned:
        yield f"things in one set are stuff in the other, {first_few(map(repr, turned))}: correct their isthing"


def _of_shared(shared: Sequence[Double], val: DatasetFindings) -> Iterator[str]:
    same = [double for double in shared if double.kind != "similar"]
    if same and len(same) == val.readable:
        yield "every image of the validation set is in the training set, so its figures tell nothing: set others apart"
    elif shared:
        first = shared[0]
        yield (
            f"{len(shared)} of {plural(val.readable, 'image')} for validation are in the training set, {len(same)} as "
            f"they are and {len(shared) - len(same)} nearly, such as {first.image}, like {first.like}, so that figures "
            "of validation will flatter: divide by place or recording, not picture by picture"
        )


def _of_untrained(train: DatasetFindings, val: DatasetFindings) -> Iterator[str]:
    trained = {each.name for each in train.classes if each.segments}
    untrained = [each.name for each in val.classes if each.segments and each.name not in trained]
    if untrained:
        yield (
            f"the validation set has {plural(len(untrained), 'class', 'classes')} of which training sees nothing, "
            f"{first_few(map(repr, untrained))}: move pictures of them to the training set"
        )
