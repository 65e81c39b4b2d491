"""What a report says, in a few lines: what is right, what is fast, what was not reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TIMES_TORCHVISION, TIMES_COMPILED, NETWORK_FPS, END_TO_END_FPS = 3.0, 2.0, 400.0, 300.0
"""What is aimed at on an H100 or H200, for PEM's shapes at 1024x2048 in half precision."""
LARGE = {"variant": "pem-r50", "size": "1024x2048", "precision": "fp16"}
_LARGE = " ".join(LARGE.values())
Rows = Sequence[Mapping[str, Any]]


def lines(sections: Mapping[str, Mapping[str, Any]], *, timed: bool = True) -> Iterator[str]:
    """Yield the lines, without bullets; without ``timed`` nothing is said of times."""
    yield from (f"**{name}**: {_state(section)}" for name, section in sections.items())
    if timed:
        yield from _times(sections)


def _times(sections: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
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
        each = ", ".join(
            f"{row['size']} {row['times torchvision']:.2f} (cold {row['times torchvision, cold']:.2f})" for row in half
        )
        least = min(row["times torchvision"] for row in half)
        yield f"Our kernel in half, times as fast as torchvision's: {each}; {_against(least, TIMES_TORCHVISION)}"


def _networks(rows: Rows) -> Iterator[str]:
    found = {(row["form"], row["compiled"]): row for row in rows if _is_large(row)}
    ours, published = found.get(("ours", False)), found.get(("published", False))
    compiled, ours_compiled = found.get(("published", True)), found.get(("ours", True))
    if ours is None:
        return
    yield f"{_LARGE}, network alone: {ours['FPS']:.0f} FPS; {_against(ours['FPS'], NETWORK_FPS)}"
    if published is not None:
        yield f"{_LARGE}, times as fast as published, both in CUDA graphs: {published['ms'] / ours['ms']:.2f}"
    if compiled is not None:
        factor = compiled["ms"] / ours["ms"]
        yield f"{_LARGE}, times as fast as published by torch.compile: {factor:.2f}; {_against(factor, TIMES_COMPILED)}"
    if compiled is not None and ours_compiled is not None:
        yield f"{_LARGE}, the same with both by torch.compile: {compiled['ms'] / ours_compiled['ms']:.2f}"


def _end_to_end(rows: Rows) -> Iterator[str]:
    for row in filter(_is_large, rows):
        latency = f"{row['ms one by one, p50']:.2f} ms one by one (p99 {row['ms one by one, p99']:.2f})"
        yield f"{_LARGE}, from frame to map: {row['FPS']:.0f} FPS, {latency}; {_against(row['FPS'], END_TO_END_FPS)}"


def _is_large(row: Mapping[str, Any]) -> bool:
    return all(row[key] == value for key, value in LARGE.items())


def _against(value: float, aim: float) -> str:
    return f"aim {aim:g} or more, **{'reached' if value >= aim else 'missed'}**"
