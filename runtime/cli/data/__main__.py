"""Runs the command with ``python -m``."""

import sys

from pem_edge.runtime.cli.data import main

if __name__ == "__main__":
    sys.exit(main())
