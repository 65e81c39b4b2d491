"""The cases that the plugin's kernels are held against, and how far off they may be."""

from __future__ import annotations

from scripts.gpu.enqueue import PEM_SIZES, WIDTH, Row

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
