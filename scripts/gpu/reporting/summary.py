"""What a report says, in a few lines: what is right, what is fast, what was not reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TIMES_TORCHVISION, TIMES_COMPILED, NETWORK_FPS, END_TO_END_FPS = 3.0, 2.0, 400.0, 300.0
"""What is aimed at on an H100 or H200, for PEM's shapes at 1024x2048 in half precision."""
LARGE = {"variant": "pem-r50", "size": "1024x2048", "precision": "fp16"}
Rows = Sequence[Mapping[str, Any]]


def lines(sections: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines, without bullets."""
    yield from (f"**{name}**: {_state(section)}" for name, section in sections.items())
    yield from _kernels(_rows(sections["kernels"], "times"))
    networks = [row for name in ("networks", "compiled") for row in _rows(sections[name], "in CUDA graphs")]
    yield from _networks(networks)
    yield from _end_to_end(_rows(sections["pipeline"], "end to end"))


def _state(section: Mapping[str, Any]) -> str:
    if section["state"] in ("skipped", "not asked for", "not reached"):
        return ", ".join(filter(None, (str(section["state"]), section["reason"])))
    rows = [row for table in section["tables"].values() for row in table]
    wrong = len(section["failed"])
    parts = [f"{len(rows) - sum('failed' in row for row in rows)} of {len(rows)} rows right"]
    parts += [f"{wrong} failed"] if wrong else []
    parts += [f"{len(section['not reached'])} not reached"] if section["not reached"] else []
    parts += ["still running, or ended in the middle"] if section["state"] == "running" else []
    return ", ".join(parts)


def _rows(section: Mapping[str, Any], table: str) -> Rows:
    return [row for row in section["tables"].get(table, []) if "failed" not in row]


def _kernels(rows: Rows) -> Iterator[str]:
    half = [row for row in rows if row["form"].startswith("float16")]
    if half:
        found = ", ".join(
            f"{row['size']} {row['times torchvision']:.2f} (cold {row['times torchvision, cold']:.2f})" for row in half
        )
        least = min(row["times torchvision"] for row in half)
        yield f"Our kernel in half, times torchvision's: {found}; {_aim(least, TIMES_TORCHVISION, 'at least')}"


def _networks(rows: Rows) -> Iterator[str]:
    found = {(row["form"], row["compiled"]): row for row in rows if all(row[key] == LARGE[key] for key in LARGE)}
    ours, published = found.get(("ours", False)), found.get(("published", False))
    if ours is None:
        return
    yield f"{' '.join(LARGE.values())}, network alone: {_aim(ours['FPS'], NETWORK_FPS, 'FPS, at least')}"
    if published is not None:
        yield f"Times the published formulation, eager in a CUDA graph: {published['ms'] / ours['ms']:.2f}"
    compiled = found.get(("published", True))
    if compiled is not None:
        best = min(each["ms"] for each in (ours, found.get(("ours", True))) if each is not None)
        factor = _aim(compiled["ms"] / best, TIMES_COMPILED, "at least")
        yield f"Times the published formulation by torch.compile: {factor}"


def _end_to_end(rows: Rows) -> Iterator[str]:
    for row in rows:
        if all(row[key] == LARGE[key] for key in LARGE):
            fps = _aim(row["FPS"], END_TO_END_FPS, "FPS, at least")
            latency = f"{row['ms one by one, p50']:.2f} ms one by one (p99 {row['ms one by one, p99']:.2f})"
            yield f"{' '.join(LARGE.values())}, from frame to map: {fps}; {latency}"


def _aim(value: float, aim: float, words: str) -> str:
    unit, _, words = words.rpartition(", ")
    return f"**{value:.4g}{' ' + unit if unit else ''}**, aim: {words} {aim:g}: {'yes' if value >= aim else 'no'}"
