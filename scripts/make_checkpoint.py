#!/usr/bin/env python
"""Make a checkpoint that was never trained, to try the tools with; what it finds in a picture means nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

import pem

CONFIDENCE = 12.0
"""How much sharper the class head is made: fresh weights are sure of nothing, and nothing would be drawn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="file to write, .safetensors")
    parser.add_argument("--variant", choices=list(pem.VARIANTS), default="pem-stdc1")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    pem.save(confident(pem.build(options.variant, options.classes)), options.out)


def confident(model: pem.PEM) -> pem.PEM:
    """Normalise by what a picture-like input gives, as training would, and sharpen the classes."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # average over all batches
        for _ in range(2):
            noise = torch.rand(2, 3, 8, 16)
            pixels = nn.functional.interpolate(noise, scale_factor=16, mode="bicubic") * 255
            model(pixels.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1))
        model.decoder.class_head.weight.mul_(CONFIDENCE)
    return model.eval()


if __name__ == "__main__":
    main()
