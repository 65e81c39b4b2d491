"""``pem-train`` as a module, for torchrun, and the arguments of a short run."""

from __future__ import annotations

import sys
from pathlib import Path

from pem_edge.pem.cli.train import main


def arguments(folder: Path, out: Path, *more: str, variant: str | None = "pem-nano") -> list[str]:
    """Four small steps on the dataset in ``folder``; later options win."""
    few = ["--size", "64x64", "--batch", "2", "--steps", "4", "--workers", "0", "--log-every", "2", "--no-export"]
    chosen = [] if variant is None else ["--variant", variant]
    return [*chosen, "--device", "cpu", "--dataset", str(folder), "-o", str(out), *few, *more]


if __name__ == "__main__":
    sys.exit(main())
