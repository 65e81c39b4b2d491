"""The plugin's kernels through `enqueue`, without TensorRT: are they right, and how fast are they?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reference.deform_conv_cases import Case, make, reference
from scripts.gpu.enqueue import FLOAT, HALF, HALF_HWC8, PEM_SIZES, WIDTH, Call, Form, Row, attributes_of
from scripts.gpu.harness import Plugin

LIMITS = {"float32": 2e-5, "float16": 2e-2}  # largest error over largest result

CASES: dict[str, list[Row]] = {
    "PEM, stride 32": [{"channels": WIDTH, "out_channels": WIDTH, "size": PEM_SIZES[0]}],
    "PEM, stride 16": [{"channels": WIDTH, "out_channels": WIDTH, "size": PEM_SIZES[1]}],
    "PEM, stride 8": [{"channels": WIDTH, "out_channels": WIDTH, "size": PEM_SIZES[2]}],
    "pem-nano": [{"channels": 64, "out_channels": 64, "size": (64, 128)}],
    "odd sizes": [{"batch": 3, "channels": 37, "out_channels": 71, "size": (29, 43)}],
    "far outside": [{"channels": 24, "out_channels": 40, "size": (31, 33), "reach": 500.0}],
    "dynamic shapes": [
        {"batch": n, "channels": 32, "size": (h, w)} for n, h, w in ((1, 7, 9), (4, 64, 48), (2, 33, 1))
    ],
    "strides, pads, dilations": [
        {"size": (35, 50), "kernel": (3, 5), "strides": (2, 1), "pads": (0, 3, 2, 1), "dilations": (1, 3)}
    ],
    "relu": [{"channels": 64, "out_channels": 64, "size": (64, 128), "relu": True}],
    "groups": [{"channels": 24, "out_channels": 18, "size": (20, 30), "group": 3}],
    "offset groups": [{"channels": 24, "out_channels": 16, "size": (20, 30), "offset_group": 4}],
}


def run(library: Path) -> dict[str, object]:
    """Return errors of every case, and times of PEM's shapes; key "failed" if an error is beyond its limit.

    ``library`` is the compiled harness. All of the GPU should be ours meanwhile.
    """
    errors = check(library, "cuda")
    failed = [f"{row['case']}, {row['form']}" for row in errors if not row["right"]]
    return {
        "errors": errors,
        **({"failed": f"errors beyond the limit: {'; '.join(failed)}"} if failed else {}),
        **kernel_times.measure(library),
    }


def check(library: Path, device: str) -> list[Row]:
    """Return largest errors against double precision on the CPU, in parts of the largest result."""
    rng = np.random.default_rng(0)
    rows = []
    for name, settings in CASES.items():
        cases = [make(rng, **setting) for setting in settings]
        for form in (FLOAT, HALF, HALF_HWC8):
            error = max(_errors(library, [case.astype(form.dtype) for case in cases], form, device))
            limit = LIMITS[np.dtype(form.dtype).name]
            rows.append({"case": name, "form": form.name, "error": error, "limit": limit, "right": error <= limit})
    return rows


def _errors(library: Path, cases: list[Case], form: Form, device: str) -> Iterator[float]:
    with Plugin(library, attributes_of(cases[0])) as plugin:
        for case in cases:
            call = Call(plugin, case, form, device)
            call()
            expected = reference(case)
            error = float(np.abs(call.result() - expected).max() / np.abs(expected).max())
            yield error if np.isfinite(error) else float("inf")
