"""The list of variants that ``--list`` prints, with parameters and multiply-accumulates; needs no PyTorch."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.versioned_json import JsonObject

TABLE = Path(__file__).with_name("variant_work.json")
"""Each variant's work with 19 classes, at 1024x2048 or the one size that it was trained for, as exported by default.

scripts/bench/count_work.py writes it.
"""


def works() -> dict[str, Work]:
    """Return the work of each variant, by name."""
    return msgspec.json.decode(TABLE.read_bytes(), type=dict[str, Work])


def report() -> list[JsonObject]:
    """Return the list as ``--list --json`` prints it."""
    return [_entry(variant, work) for variant, work in works().items()]


def lines() -> str:
    """Return the list as ``--list`` prints it."""
    found = works()
    some = next(iter(found.values()))
    title = f"variants, with 19 classes, batch {some.batch}:"
    width = max(map(len, found))
    rows = [
        f"{variant:<{width}}  {work.parameters / 1e6:5.1f} M parameters  {work.macs_total / 1e9:6.1f} GMAC "
        f"at {work.height}x{work.width}"
        for variant, work in found.items()
    ]
    return "\n".join([title, *rows])


def _entry(variant: str, work: Work) -> JsonObject:
    return {"variant": variant, **msgspec.to_builtins(work), "macs_total": work.macs_total}
