"""Estimates how long a benchmark will take, from what is known before it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pem_edge.runtime.benchmark.measures.decoded_sources import FEWEST
from pem_edge.runtime.benchmark.measures.scenarios import TURNS
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.plurals import plural

_START = 2.0  # seconds that a process takes to import and load, at a guess


def sentence(images: Sequence[float], options: Options, scored: int) -> str:
    """Return how long a run takes, and how much longer it may take.

    Args:
        images: The seconds that each artifact takes for an image.
        options: What is measured.
        scored: The number of labeled images.
    """
    minutes = seconds(images, options, scored) / 60
    about = f"this takes about {plural(math.ceil(minutes), 'minute')}" if minutes > 1 else "this takes about a minute"
    open_ended = len(images) > 1 and options.most_rounds > options.rounds
    more = f", up to {options.most_seconds / 60:.0f} more while differences are not clear" if open_ended else ""
    return about + more


def seconds(images: Sequence[float], options: Options, scored: int) -> float:
    """Return about how long it takes without additional rounds; the arguments are those of `sentence`."""
    scenarios = 1 + len(options.scenarios)
    starts = options.cold_starts + options.memory
    return sum(
        image * (2 * options.rounds + scored)
        + scenarios * max(options.scenario_seconds, TURNS * FEWEST * image)
        + starts * (_START + image)
        for image in images
    )
