"""Keeps the colors of instances from one frame of a video to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.drawing.regions import RoughMap
from pem_edge.runtime.results.regions import Regions
from pem_edge.runtime.results.segments import Segment

_LEAST_OVERLAP = 0.1
"""Least intersection over union of an instance in two frames."""
_LONGEST_ABSENCE = 10
"""Frames that an instance may be missing before its color is given to another."""


@dataclass(frozen=True)
class _Track:
    """An instance that was drawn: its class, its number in it, and for how many frames it has been missing."""

    category_id: int
    number: int
    absence: int = 0


@dataclass(frozen=True)
class _Memory:
    """Where the instances were last: the index from 1 of each pixel's track, (h, w), and the tracks."""

    places: NDArray[np.intp]
    tracks: Sequence[_Track]


class Continuity:
    """Gives instances the numbers that they had in the frame that was drawn before, by which they overlap most.

    The results of a stream share one. Only drawing uses it, in any order and from any thread; a result that is drawn
    again has the same numbers again. It remembers two small maps and as many instances as were in the last frames.
    Pickled, it has seen nothing.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._memories: dict[str, _Memory] = {}

    def __reduce__(self) -> tuple[type[Continuity], tuple[()]]:
        return type(self), ()

    def numbers(self, task: str, regions: Regions) -> Mapping[int, int]:
        """Return the number of each thing within its class, from 0, by its id.

        Args:
            task: What the regions show. Those of another task are remembered apart.
            regions: The regions of a frame.
        """
        with self._lock:
            if task not in regions.numbers:
                regions.numbers[task] = self._continue(task, regions)
            return regions.numbers[task]

    def _continue(self, task: str, regions: Regions) -> Mapping[int, int]:
        things = [segment for segment in regions.segments if segment.isthing]
        indices = _indices(RoughMap(regions.ids).ids, things)
        memory = self._memories.get(task)
        if memory is None or memory.places.shape != indices.shape:
            memory = _Memory(np.zeros_like(indices), ())
        matches = _match(memory, indices, things)
        tracks = _number(things, matches, memory.tracks)
        self._memories[task] = _remember(memory, indices, tracks, set(matches.values()))
        return {thing.id: track.number for thing, track in zip(things, tracks, strict=True)}


def _indices(ids: NDArray[np.int32], things: Sequence[Segment]) -> NDArray[np.intp]:
    """Return the index from 1 of each pixel's thing, 0 for none."""
    table = np.zeros(max(int(ids.max(initial=0)), *(thing.id for thing in things), 0) + 1, np.intp)
    for index, thing in enumerate(things, 1):
        table[thing.id] = index
    indices: NDArray[np.intp] = table[ids]
    return indices


def _match(memory: _Memory, indices: NDArray[np.intp], things: Sequence[Segment]) -> dict[int, int]:
    """Return the index of the track that each thing continues, both from 0, best overlap first."""
    shape = len(memory.tracks) + 1, len(things) + 1
    joint = np.bincount((memory.places * shape[1] + indices).ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    unions = joint.sum(1, keepdims=True) + joint.sum(0, keepdims=True) - joint
    overlaps = (joint / np.maximum(unions, 1))[1:, 1:]
    classes = [np.array([each.category_id for each in side], int) for side in (memory.tracks, things)]
    overlaps[classes[0][:, None] != classes[1]] = 0
    matches: dict[int, int] = {}
    for pair in np.argsort(-overlaps, axis=None, kind="stable").tolist():
        track, thing = divmod(pair, len(things))
        if overlaps[track, thing] < _LEAST_OVERLAP:
            break
        if thing not in matches and track not in matches.values():
            matches[thing] = track
    return matches


def _number(things: Sequence[Segment], matches: Mapping[int, int], known: Sequence[_Track]) -> list[_Track]:
    """Return the track of each thing; new ones have the smallest number of their class that no known track has."""
    taken = {(track.category_id, track.number) for track in known}
    tracks = []
    for index, thing in enumerate(things):
        number = known[matches[index]].number if index in matches else 0
        while index not in matches and (thing.category_id, number) in taken:
            number += 1
        taken.add((thing.category_id, number))
        tracks.append(_Track(thing.category_id, number))
    return tracks


def _remember(memory: _Memory, indices: NDArray[np.intp], found: Sequence[_Track], continued: set[int]) -> _Memory:
    """Return the memory after a frame: its tracks, and where they do not cover them, those that went missing lately."""
    table, tracks = np.zeros(len(memory.tracks) + 1, np.intp), list(found)
    for index, track in enumerate(memory.tracks):
        if index not in continued and track.absence < _LONGEST_ABSENCE:
            tracks.append(_Track(track.category_id, track.number, track.absence + 1))
            table[index + 1] = len(tracks)
    return _Memory(np.where(indices > 0, indices, table[memory.places]), tracks)
