"""``pem-train`` as a module, for torchrun."""

from __future__ import annotations

import sys

from pem_edge.pem.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
