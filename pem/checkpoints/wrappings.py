"""Takes the model's tensors out of what training scripts save, and says what else there was."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pem_edge.pem.checkpoints import weight_sets
from pem_edge.pem.checkpoints.formats.inert_pickle import Call, Value
from pem_edge.pem.checkpoints.formats.leaves import leaves
from pem_edge.pem.checkpoints.formats.pickled_names import class_of, is_foreign, written
from pem_edge.pem.checkpoints.names.foreign import SUPPORTED, name_of_pickle
from pem_edge.pem.checkpoints.weight_sets import Part
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.plurals import first_few, plural
from pem_edge.runtime.progress import Say

_USUAL = ("top", "model", "state_dict", "module")
"""Names of the weights that a file is for, where there are others of the same size."""

_SWAPPED = ("state_dict", "ema_state_dict", "message_hub")
"""Keys of mmengine's files with averages: mmengine swaps what the first two hold."""

_OF_MMENGINE = (
    "took the weights state_dict, where mmengine saves averages over training, not those of the last step "
    "(ema_state_dict): --part ema_state_dict takes those"
)

_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What PyTorch puts into the names of parts of a model that it wraps."""


def unwrap(document: Value, say: Say, part: str | None = None, *, source: str = "the checkpoint") -> dict[str, Tensor]:
    """Return the model's tensors by name, floating-point ones as float32, in memory of their own.

    Args:
        document: What was saved: tensors or arrays in dictionaries and lists, and records of other objects.
        say: Told which of several sets of weights was taken, what was left out, and which prefix was taken off names.
        part: The name of the set of weights to take, such as "model_ema"; None for the model, or for what there is.
        source: What to call the checkpoint in an error message.

    Raises:
        ValueError: If there are no tensors.
        CheckpointError: If there is a whole pickled model instead, or no set of weights is called ``part``.
    """
    objects = _objects(document)
    found = weight_sets.find(document)
    if not found:
        _refuse_models(document, source)
        kind = "no tensors" if isinstance(document, Mapping | list | tuple) else f"a {type(document).__name__}"
        raise ValueError(f"holds {kind}, expected a dictionary of tensors by name")
    chosen = _default(found) if part is None else _named(part, found, source)
    if part is None:
        others = [each for each in found if each is not chosen]
        if isinstance(document, Mapping) and document.keys() >= {*_SWAPPED} and chosen.name == _SWAPPED[0]:
            others = [each for each in others if each.name != _SWAPPED[1]]
            say(_OF_MMENGINE)
        _tell_choice(chosen, others, say)
    if objects:
        say(f"left out objects of {first_few(objects)}, which are not weights")
    return _taken(chosen, say)


def _objects(document: Value) -> list[str]:
    """Return the classes, of other packages, of what is beside the tensors."""
    classes = (class_of(each) for _, each in leaves(document) if isinstance(each, Call))
    return list(dict.fromkeys(written(each) for each in classes if each is not None and is_foreign(each)))


def _refuse_models(document: Value, source: str) -> None:
    for _, each in leaves(document):
        if isinstance(each, Call) and isinstance(each.state, dict) and "_modules" in each.state:
            name = class_of(each)
            if name is not None and (model := name_of_pickle(written(name))) is not None:
                raise CheckpointError(
                    f"{source} is a checkpoint of {model}, which is not supported: give one of {SUPPORTED}"
                )
            raise CheckpointError(
                f"{source} holds a whole model, an object of {written(name) if name else 'an unknown class'}, "
                "which takes its own code to load: it was not loaded; where that code is, "
                "save torch.save({'model': model.state_dict()}, path)"
            )


def _default(found: list[Part]) -> Part:
    """Return the set of weights that was most likely meant: a model rather than less, and no averages if possible."""
    most = max(len(each.tensors) for each in found)

    def rank(part: Part) -> tuple[bool, bool, bool, int, bool, int]:
        count, steps = len(part.tensors), part.name.split(".")
        return not part.holds_model, part.is_average, 2 * count < most, -count, steps[0] not in _USUAL, len(steps)

    return min(found, key=rank)


def _named(part: str, found: list[Part], source: str) -> Part:
    for each in found:
        if each.name == part:
            return each
    counts = [f"{each.name} ({plural(len(each.tensors), 'tensor')})" for each in found]
    raise CheckpointError(
        f"{source} has no part {part!r}, expected one of {first_few(counts, 10)}: name one, or leave that to be chosen"
    )


def _tell_choice(chosen: Part, others: list[Part], say: Say) -> None:
    averages = [each.name for each in others if each.is_average]
    name = "at the top" if chosen.name == "top" else chosen.name
    if chosen.is_average:
        lacking = "there are no others" if all(each.is_average for each in others) else "others are of no whole model"
        say(f"the weights are averages over training ({name}), {lacking}")
    elif averages:
        say(
            f"took the weights {name}, not their averages over training ({first_few(averages)}): "
            f"--part {' or --part '.join(averages[:3])} takes those"
        )
    left = [each for each in others if chosen.is_average or not each.is_average]
    if left:
        count = plural(sum(len(each.tensors) for each in left), "tensor")
        models = [each.name for each in left if each.holds_model][:3]
        choice = f": --part {' or --part '.join(models)} takes those" if models else ""
        say(f"left out {count} in {first_few('the top' if each.name == 'top' else each.name for each in left)}{choice}")


def _taken(chosen: Part, say: Say) -> dict[str, Tensor]:
    """Return the tensors of a part, whose names are without what wrappers put before and into them."""
    if chosen.beside:
        firsts = sorted({name.partition(".")[0] for name in chosen.beside})
        say(f"left out {plural(len(chosen.beside), 'tensor')} of {first_few(firsts)}")
    if chosen.prefix:
        say(f"took the prefix {chosen.prefix!r} off the names of tensors")
    state = {name: _tensor(each) for name, each in chosen.tensors.items()}
    for wrapper in _WRAPPERS:
        if any(wrapper in name for name in state):
            say(f"took {wrapper!r} out of the names of tensors")
            state = _without(wrapper, state)
    return state


def _without(wrapper: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with ``wrapper`` taken out of its names. Raises ValueError if two of them are then the same."""
    bare: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if bare.setdefault(name.replace(wrapper, ""), tensor) is not tensor:
            raise ValueError(f"has the tensor {brief(name)} with {wrapper!r} and without")
    return bare


def _tensor(value: Value) -> Tensor:
    """Return a copy of a tensor, which can lie in its file: if that is cut short, touching it ends the process."""
    is_tensor = isinstance(value, Tensor)  # arrays are copies already
    tensor = value.detach() if is_tensor else torch.from_numpy(value)
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=is_tensor)
