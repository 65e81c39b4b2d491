#!/usr/bin/env python
"""Draw what calibration saw, or what each block costs in INT8.

The former is in a .npz of ``--calib-cache``: a histogram per tensor, with the range of each method. The latter is in
the manifest of an artifact that was exported with ``--max-pq-drop``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import calibration
from pem_edge.calibration.assessment import plots
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.errors import PemError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="statistics (.npz), or an INT8 artifact (.onnx, .engine)")
    parser.add_argument("output", type=Path, help="the picture: .png, .svg or .pdf")
    options = parser.parse_args()
    try:
        draw(options.source, options.output)
    except PemError as error:
        print(f"plot_calibration: {error}", file=sys.stderr)
        return 1
    return 0


def draw(source: Path, output: Path) -> None:
    if source.suffix == ".npz":
        statistics = calibration.load(source)
        print(statistics.table())
        plots.plot_statistics(statistics, output)
        return
    quantization = artifact.read(source).manifest.quantization
    if quantization is None or not quantization.sensitivity:
        raise PemError(
            f"{source} knows of no sensitivity, which is measured where INT8 loses more than --max-pq-drop: export it "
            "with a smaller one"
        )
    plots.plot_sensitivity(quantization.sensitivity, output, quantization.measure)


if __name__ == "__main__":
    sys.exit(main())
