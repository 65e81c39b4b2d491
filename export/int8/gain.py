"""Says what a model in INT8 has lost and gained."""

from __future__ import annotations

from pem_edge.runtime.artifacts.sections import Quantization


def verdict(found: Quantization) -> str:
    """Return a line on an INT8 model: the pixels that keep their class, its score if there were labels, its speed."""
    scores = found.pq or found.miou
    score = f", {found.measure} {scores['fp32']:.2f} before and {scores['int8']:.2f} after" if scores else ""
    kept = f"INT8 gives {found.agreement:.2f} % of pixels the class that single precision gives them{score}"
    return f"{kept}; {_speed(found)}"


def _speed(found: Quantization) -> str:
    if not found.milliseconds:
        return "its speed was not measured here"
    (other,) = found.milliseconds.keys() - {"int8"}
    ratio, place = found.milliseconds[other] / found.milliseconds["int8"], f"on this machine, in {found.timed_in}"
    if ratio > 1:
        return f"{place}, it is {ratio:.2f} times as fast as {other}"
    return (
        f"{place}, it is NOT FASTER than {other} ({ratio:.2f} times its speed): use {other} here; INT8 is for CPUs "
        "with VNNI or AMX and, with --to trt, for GPUs"
    )
