"""Gathers what is known of weights beside their tensors: from files, and from the list of public weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pem_edge.pem import public_weights
from pem_edge.pem.checkpoints.description import Description
from pem_edge.pem.checkpoints.descriptions import openmmlab_meta
from pem_edge.pem.checkpoints.formats import safetensors_files
from pem_edge.pem.checkpoints.formats.inert_pickle import Value
from pem_edge.pem.checkpoints.places import DEMO_FILE, DEMO_SIZE, Place
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.manifest import TASKS, Task
from pem_edge.runtime.progress import Say

_MOSTLY_PANOPTIC = "pem-"
"""Start of the variants whose checkpoints are taken as panoptic without a word; of the others, many are not."""

_TASK = re.compile(r"(?<![a-z])(panoptic|semantic|instance)(?![a-z])", re.IGNORECASE)


def describe(
    place: Place, told: Description | None, document: Value, variant: str, num_classes: int, say: Say, ask_task: Say
) -> Description:
    """Return what is known of a checkpoint.

    What its own files say comes first, then what the list of public weights says of them. What a folder says of the
    task is how images are prepared: it comes last.

    Args:
        place: Where it was found.
        told: What its folder says of it, if it is one of transformers'.
        document: What its files hold.
        variant: The variant whose tensors it has.
        num_classes: The number of classes that its tensors have; names of another number are dropped.
        say: Told what was dropped, and which license forbids commercial use.
        ask_task: Told that the task is a guess.

    Raises:
        CheckpointError: If a file is damaged, or its configuration says that the model is unlike ours.
    """
    own = _fitting(_own(place, document, say) if told is None else told, num_classes, say)
    published = _fitting(_published(place), num_classes, say)
    known = own.completed_by(published)
    if license_notice := public_weights.notice(place.name, known.license):
        say(license_notice)
    is_panoptic = variant.startswith(_MOSTLY_PANOPTIC)
    named = None if is_panoptic else _named_task(place)
    tasks = (own.task, published.task, named) if told is None else (published.task, named, own.task)
    task = next((each for each in tasks if each is not None), None)
    if task is None and not is_panoptic:
        ask_task(f"nothing says what {place.name} was trained for: taken as panoptic; set --task if it is another")
    return replace(known, task=task)


def _fitting(described: Description, num_classes: int, say: Say) -> Description:
    """Return ``described`` without the names of another number of classes."""
    if described.labels is None or len(described.labels) == num_classes:
        return described
    say(f"left out the names of {len(described.labels)} classes, as the tensors have {num_classes}: give --labels")
    return replace(described, labels=None)


def _own(place: Place, document: Value, say: Say) -> Description:
    """Return what the files of a checkpoint, not of a folder, say of it."""
    if place.files[0].suffix.lower() == safetensors_files.SUFFIX:
        found = safetensors_files.describe(place.files[0])
        return replace(found, size=DEMO_SIZE) if place.files == (DEMO_FILE,) else found
    if not isinstance(document, Mapping):
        return Description()
    openmmlab_meta.check(document, place.name)
    return openmmlab_meta.describe(document, say)


def _published(place: Place) -> Description:
    """Return what is published of a model on the hub, of a folder of its name, or of a file of a zoo."""
    if place.folder is None:
        row = public_weights.find(place.files[0].name) if public_weights.verify(place.files[0]) else None
    else:
        named = public_weights.find(place.likely_name)
        row = named if named is not None and named.on_hub else None
    if row is not None:
        return Description(labels=labels.load(row.labels), task=row.task, license=row.license)
    found = None if place.hub_name is None else public_weights.license_of(place.hub_name)
    return Description(license=None if found is None else found.spdx)


def _named_task(place: Place) -> Task | None:
    """Return the task in the name of a file, folder or model; None if it has none, or several."""
    words = {word.lower() for word in _TASK.findall(place.likely_name.rpartition("/")[2])}
    return next((task for task in TASKS if words == {task}), None)
