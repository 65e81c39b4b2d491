"""Reads ``config.json`` and ``preprocessor_config.json``, which transformers writes beside the weights of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from pem_edge.pem.checkpoints.description import Description
from pem_edge.pem.checkpoints.descriptions.class_names import labels_of
from pem_edge.pem.checkpoints.model_folder import CONFIG, PREPROCESSOR
from pem_edge.pem.model import PEM, Channels
from pem_edge.pem.pixel_decoders.encoder import EncoderLayer
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import MAX_CLASSES, MULTIPLE_OF
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.images import MAX_PIXELS
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.reading import read_bytes
from pem_edge.runtime.progress import Say

MODEL_TYPE = "mask2former"

_MAX_BYTES = 10_000_000
_CURE = "give the folder as save_pretrained wrote it"
_Content = TypeVar("_Content", bound=msgspec.Struct)


class _Backbone(msgspec.Struct):
    """The settings of a backbone that its tensors do not tell; the defaults are transformers'."""

    model_type: str | None = None
    layer_norm_eps: float = 1e-5
    hidden_act: str | None = None
    use_absolute_embeddings: bool = False
    layer_type: str = "bottleneck"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False


class Config(msgspec.Struct):
    """The part of ``config.json`` that is of use here; what the tensors do not tell has transformers' defaults."""

    model_type: str | None = None
    id2label: dict[str, str] | None = None
    num_queries: int | None = None
    decoder_layers: int | None = None
    encoder_layers: int | None = None
    num_attention_heads: int = 8
    activation_function: str = "relu"
    common_stride: int = 4
    pre_norm: bool = False
    backbone_config: _Backbone | None = None


class _Preprocessor(msgspec.Struct):
    """The part of ``preprocessor_config.json`` that is of use here."""

    size: dict[str, int | None] | int | None = None
    max_size: int | None = None
    image_mean: Channels | None = None
    image_std: Channels | None = None
    do_normalize: bool = True
    rescale_factor: float = 1 / 255
    do_rescale: bool = True


def read(folder: Path) -> Config:
    """Return the configuration of the model in ``folder``. Raises CheckpointError."""
    return _read(folder / CONFIG, Config, "a model's configuration")


def describe(folder: Path, config: Config, say: Say) -> Description:
    """Return what the two files say of the weights in ``folder``.

    Args:
        folder: The folder.
        config: What `read` returned.
        say: Told which classes are taken for things without knowing it.

    Raises:
        CheckpointError: If a file is damaged, or has values that no model has.
    """
    described = Description(labels=_labels(folder / CONFIG, config, say))
    path = folder / PREPROCESSOR
    if not path.exists():
        return described
    found = _read(path, _Preprocessor, "settings of preprocessing")
    mean, std = found.image_mean, found.image_std
    scale = found.rescale_factor if found.do_rescale else 1.0
    if not found.do_normalize:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if not scale > 0 or (std is not None and not min(std) > 0):
        raise CheckpointError(
            f"{path} scales pixels by {scale:g} and divides by {std}, expected numbers above 0: {_CURE}"
        )
    return replace(described, size=_size(found), mean=_scaled(mean, scale), std=_scaled(std, scale))


def check(config: Config, model: PEM, source: str) -> None:
    """Raise CheckpointError unless ``config`` describes ``model``, which was built from the tensors beside it."""
    for name, claimed, counted in _facts(config, model):
        if claimed is not None and claimed != counted:
            raise CheckpointError(
                f"{source}: {CONFIG} claims {claimed} {name}, the tensors are of a model with {counted}: {_CURE}"
            )
    for name, setting, supported in _settings(config):
        if setting != supported:
            raise CheckpointError(f"{source}: {name} is {setting} in {CONFIG}, only {supported} is supported")


def _facts(config: Config, model: PEM) -> Iterator[tuple[str, int | None, int]]:
    """Yield what the tensors tell, too: its name, what ``config`` claims, and what was found."""
    yield "classes", None if config.id2label is None else len(config.id2label), model.num_classes
    yield "queries", config.num_queries, model.num_queries
    # transformers counts the prediction before the first layer as a layer.
    yield "decoder layers", config.decoder_layers, len(model.decoder.layers) + 1
    yield "encoder layers", config.encoder_layers, _count_encoder_layers(model)


def _count_encoder_layers(model: PEM) -> int:
    return sum(isinstance(module, EncoderLayer) for module in model.modules())


def _settings(config: Config) -> Iterator[tuple[str, object, object]]:
    """Yield what tensors do not tell: its name, its value in ``config``, and the only value that is supported."""
    yield "num_attention_heads", config.num_attention_heads, 8
    yield "activation_function", config.activation_function, "relu"
    yield "common_stride", config.common_stride, 4
    yield "pre_norm", config.pre_norm, False
    backbone = config.backbone_config or _Backbone()
    if backbone.model_type == "swin":
        yield "layer_norm_eps of the backbone", backbone.layer_norm_eps, 1e-5
        yield "hidden_act of the backbone", backbone.hidden_act or "gelu", "gelu"
        yield "use_absolute_embeddings of the backbone", backbone.use_absolute_embeddings, False
    if backbone.model_type == "resnet":
        yield "layer_type of the backbone", backbone.layer_type, "bottleneck"
        yield "hidden_act of the backbone", backbone.hidden_act or "relu", "relu"
        yield "downsample_in_first_stage of the backbone", backbone.downsample_in_first_stage, False
        yield "downsample_in_bottleneck of the backbone", backbone.downsample_in_bottleneck, False


def _labels(path: Path, config: Config, say: Say) -> tuple[Label, ...] | None:
    """Return the classes that ``config`` names, None if it names none. Raises CheckpointError."""
    if not config.id2label:
        return None
    names = [config.id2label.get(str(index)) for index in range(len(config.id2label))]
    if None in names or len(names) > MAX_CLASSES:
        raise CheckpointError(f"{path}: the {len(names)} classes of id2label must be numbered from 0: {_CURE}")
    return labels_of([name for name in names if name is not None], say)


def _size(found: _Preprocessor) -> tuple[int, int] | None:
    """Return the size of images in landscape format, as multiples of 32; None if there is none, or none that can be."""
    size: dict[str, int | None] = found.size if isinstance(found.size, dict) else {"shortest_edge": found.size}
    short = size.get("shortest_edge")
    height = size.get("height") or short
    width = size.get("width") or size.get("longest_edge") or found.max_size or short
    if height is None or width is None or min(height, width) < 1 or height * width > MAX_PIXELS:
        return None
    return -(-height // MULTIPLE_OF) * MULTIPLE_OF, -(-width // MULTIPLE_OF) * MULTIPLE_OF


def _scaled(values: Channels | None, scale: float) -> Channels | None:
    """Return values for pixels of 0 to 255, given those for pixels that were multiplied by ``scale``."""
    if values is None:
        return None
    red, green, blue = (value / scale for value in values)
    return red, green, blue


def _read(path: Path, content: type[_Content], expected: str) -> _Content:
    data = read_bytes(path, CheckpointError, limit=_MAX_BYTES, expected=expected, cure=_CURE)
    return foreign_json.decode(data, content, path, CheckpointError, expected=expected, cure=_CURE)
