#!/usr/bin/env python
"""Draw the losses of a run of pem-train, from its metrics.csv, as a picture."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

SHOWN = ("loss", "class", "mask", "dice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metrics", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    with options.metrics.open() as file:
        rows = list(csv.DictReader(file))
    steps = np.array([int(row["step"]) for row in rows])
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for name in SHOWN:
        axes.plot(steps, [float(row[name]) for row in rows], label=name)
    axes.set(xlabel="step", ylabel="loss, summed over predictions", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(options.picture, dpi=120)


if __name__ == "__main__":
    main()
