"""What a run starts from: the weights of a checkpoint, or the model of an earlier run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from pem_edge.pem.checkpoints import Checkpoint
from pem_edge.pem.checkpoints.descriptions.class_names import are_same
from pem_edge.pem.checkpoints.identify import identify
from pem_edge.pem.model import PEM, MaskClassifier
from pem_edge.pem.pixel_decoders.encoder import Depths
from pem_edge.pem.training.snapshots import Snapshot, restoring
from pem_edge.pem.variants import VARIANTS
from pem_edge.pem.variants.pyramid import PyramidVariant, TransformerVariant
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.plurals import first_few, plural
from pem_edge.runtime.progress import Say


def require_trainable(model: MaskClassifier) -> PEM:
    """Return ``model`` if it is of a family that is trained here, else raise TrainingError."""
    if isinstance(model, PEM):
        return model
    raise _not_trained(model.variant)


def require_trainable_variant(name: str) -> None:
    """Raise TrainingError unless the variant of this name is of a family that is trained here."""
    if not isinstance(VARIANTS[name], PyramidVariant):
        raise _not_trained(name)


def _not_trained(variant: str) -> TrainingError:
    return TrainingError(
        f"{variant} is not trained here, as its training needs attention masks that are annealed away: train it with "
        "its authors' code, https://github.com/tue-mps/eomt, and export the result; or choose another family"
    )


def fit_class_head(checkpoint: Checkpoint, labels: Sequence[Label], say: Say, *, must_stay: bool = False) -> None:
    """Give the model of ``checkpoint`` a new class head, in place, unless its classes are ``labels``.

    Rows of classes of the same names are kept. Classes are taken to be the same if they are as many, and have the same
    names as far as those are known.

    Args:
        checkpoint: The checkpoint.
        labels: The classes of the dataset.
        say: Told that the class head starts anew and which of its rows are kept, or that nothing says which classes it
            was trained for.
        must_stay: Whether the run needs the class head as it is.

    Raises:
        TrainingError: If the class head would start anew, but must stay.
    """
    model, known, name = checkpoint.model, checkpoint.description.labels, checkpoint.place.name
    if model.num_classes != len(labels):
        reason = f"for {len(labels)} classes instead of {model.num_classes}"
    elif known is not None and not are_same([label.name for label in labels], known):
        reason = f"for classes of other names, {_first_difference(labels, known)}"
    else:
        if known is None:
            say(f"{name} has as many classes as the dataset, {len(labels)}, and no names of them: taken for the same")
        return
    if must_stay:
        raise TrainingError(
            f"the class head of {name} would start anew, {reason}, and --qat needs a trained one: train without --qat "
            "first"
        )
    model.decoder.class_head, kept = _new_head(model.decoder.class_head, labels, known or ())
    rows = f", and so are the rows of {plural(len(kept), 'class', 'classes')}: {first_few(kept)}" if kept else ""
    say(f"the class head starts anew, {reason}: all else is that of {name}{rows}")


def _new_head(head: nn.Linear, labels: Sequence[Label], known: Sequence[Label]) -> tuple[nn.Linear, list[str]]:
    """Return a class head for ``labels``, and the names of those among them whose rows are in ``head``, of ``known``.

    The row of "no object", the last, means the same for all classes.
    """
    new = nn.Linear(head.in_features, len(labels) + 1)
    rows = {label.id: next((old.id for old in known if are_same([label.name], [old])), None) for label in labels}
    found = {row: old for row, old in rows.items() if old is not None}
    with torch.no_grad():
        for row, old in {**found, len(labels): head.out_features - 1}.items():
            new.weight[row], new.bias[row] = head.weight[old], head.bias[old]
    return new, [label.name for label in labels if label.id in found]


def _first_difference(labels: Sequence[Label], known: Sequence[Label]) -> str:
    pairs = ((new.name, old.name) for new, old in zip(labels, known, strict=True) if not are_same([new.name], [old]))
    new, old = next(pairs)
    return f"such as {new!r} instead of {old!r}"


def rebuild(snapshot: Snapshot, path: Path) -> PEM:
    """Return a model like that of the run whose snapshot is at ``path``, in training mode, with random weights.

    It has the run's variant, queries, layers and windows, whichever checkpoint those came from.

    Raises:
        CheckpointError: If the snapshot's tensors are not those of a model.
    """
    with restoring(path):
        return require_trainable(identify(dict(snapshot["model"]), str(path))).train()


def encoder_layers(model: PEM) -> Depths | None:
    """Return the numbers of encoder layers of ``model``, as `pem.build` takes them; None if it has no encoder."""
    row = VARIANTS[model.variant].fitted_to(model.state_dict())
    return row.encoder_layers if isinstance(row, TransformerVariant) else None
