"""What ``pem-run`` says around a run, apart from its results and what went wrong."""

from __future__ import annotations

import re

_SAID = re.compile(
    r"pem-run: this model has learned generated toy streets, .*|pem-run: nothing was found: .*"
    r"|(wrote .* to .*, by|saved nothing; .* went through) \w+ [\d.]+ on the [CG]PU"
)


def without_summary(text: str) -> str:
    """Return output without the lines that say what the model knows, whether nothing was found, what was written."""
    return "".join(line for line in text.splitlines(keepends=True) if not _SAID.fullmatch(line.rstrip("\n")))
