"""Says in a sentence what is wrong with a model, as far as the findings tell, and what to try next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.artifacts.provenance import Difference, Tolerance
from pem_edge.runtime.verification.gate import Finding, wrong_slots

_NEXT_FORM = {
    "standard": "gather, which has no GridSample",
    "native": "gather, which needs no plugin",
    "nvidia": "gather, which needs no plugin",
    "plugin": "gather, which needs no plugin",
    "gather": "plugin, or standard",
}
"""The form of deformable operations to try next, by the one that failed."""

_Where = Callable[[Difference], str]


def describe(findings: Sequence[Finding], manifest: Manifest, tolerance: Tolerance) -> str | None:
    """Return what is wrong and what to try next, as "what: cure"; None if nothing is wrong.

    Args:
        findings: What was found at each slot.
        manifest: The manifest of the model.
        tolerance: The limits.
    """
    wrong = [finding for group in wrong_slots(findings, tolerance) for finding in group]
    if not wrong:
        return None
    other_form = f"export with --deform-conv {_NEXT_FORM[manifest.deform_conv]}"
    single = f"export with {'--max-batch 1' if manifest.input.dynamic_batch else '--batch 1'}, or {other_form}"
    anything = other_form if manifest.precision == "fp32" else f"{other_form}; or with --precision fp32"
    if endless := next((each for each in wrong if not each.finite), None):
        return f"its values are not finite at {_place(endless.difference)}: {anything}"
    if swapped := next((each for each in wrong if each.twin is not None), None):
        return f"at {_place(swapped.difference)} is the result of slot {swapped.twin}: {single}"
    worst = _describe_worst([each.difference for each in wrong], tolerance)
    by_size = f"export for other sizes, with --size, --min-size and --max-size, or {other_form}"
    aspects: list[tuple[str, _Where, str]] = [
        ("at", lambda each: each.size, by_size),
        ("at slot", lambda each: str(each.slot), single),
        ("in batches of", lambda each: str(each.batch), single),
    ]
    for preposition, where, cure in aspects:
        everywhere, somewhere = ({where(each.difference): None for each in some} for some in (findings, wrong))
        if right := [place for place in everywhere if place not in somewhere]:
            contrast = f"right {preposition} {', '.join(right)}, wrong {preposition} {', '.join(somewhere)}"
            return f"it is {contrast}, where {worst}: {cure}"
    return f"everywhere {worst}: {anything}"


def _place(found: Difference) -> str:
    return f"{found.size} in slot {found.slot} of {found.batch}"


def _describe_worst(wrong: Sequence[Difference], tolerance: Tolerance) -> str:
    """Return by how much the outputs differ, those first that are out of tolerance."""
    figures = [
        ("class logits", max(each.logits for each in wrong), tolerance.logits),
        ("mask logits", max(each.masks for each in wrong), tolerance.masks),
    ]
    agreement = min(each.agreement for each in wrong)
    off = [f"{name} differ by up to {most:.2g} (limit {limit:g})" for name, most, limit in figures if most > limit]
    right = [f"{name} agree" for name, most, limit in figures if most <= limit]
    return ", ".join([*off, *right, f"{agreement:.1%} of pixels agree (limit {tolerance.agreement:.0%})"])
