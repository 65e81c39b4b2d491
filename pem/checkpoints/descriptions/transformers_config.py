"""Reads ``config.json``, which transformers writes beside the weights of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import msgspec

from pem_edge.pem.checkpoints.description import Description
from pem_edge.pem.checkpoints.descriptions import preprocessor_config
from pem_edge.pem.checkpoints.descriptions.class_names import labels_of
from pem_edge.pem.checkpoints.model_folder import CONFIG
from pem_edge.pem.checkpoints.names import foreign
from pem_edge.pem.model import MaskClassifier
from pem_edge.pem.pixel_decoders.encoder import EncoderLayer
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import MAX_CLASSES
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import read_bytes
from pem_edge.runtime.progress import Say

MODEL_TYPE = "mask2former"
_BACKBONES = ("swin", "resnet", "timm_backbone")
"""Values of ``model_type`` of models, and of backbones, that are supported; which size of them, the tensors tell."""

_OF_TIMM = re.compile(r"(tv_)?resnet(50|101)(\..*)?")
"""Matches timm's names of ResNets; relatives, such as resnetblur50, have the same tensors and compute otherwise."""

_MAX_BYTES = 10_000_000
_EXPECTED, _CURE = "a model's configuration", "give the folder as save_pretrained wrote it"


class _Kind(msgspec.Struct):
    """Names the model that a configuration is of, whatever else it says."""

    model_type: str | None = None


class _Backbone(msgspec.Struct):
    """The settings of a backbone that its tensors do not tell; the defaults are transformers'."""

    model_type: str | None = None
    backbone: str | None = None
    layer_norm_eps: float = 1e-5
    hidden_act: str | None = None
    use_absolute_embeddings: bool = False
    layer_type: str = "bottleneck"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False
    output_stride: int | None = None


class Config(msgspec.Struct):
    """The part of ``config.json`` that is of use here; what the tensors do not tell has transformers' defaults."""

    id2label: dict[str, str | int] | None = None
    num_queries: int | None = None
    decoder_layers: int | None = None
    encoder_layers: int | None = None
    num_attention_heads: int = 8
    activation_function: str = "relu"
    common_stride: int = 4
    pre_norm: bool = False
    backbone_config: _Backbone | None = None
    backbone: str | None = None
    use_timm_backbone: bool | None = None
    backbone_kwargs: _Backbone | None = None


def read(folder: Path, say: Say, ask_labels: Say) -> tuple[Config, Description]:
    """Return the configuration of the model in ``folder``, and what is told there of its weights.

    The latter has the classes and what ``preprocessor_config.json`` has, if there is one.

    Args:
        folder: The folder.
        say: Told which size cannot be used.
        ask_labels: Told which classes are taken for things without knowing it.

    Raises:
        CheckpointError: If a file is damaged, has values that no model has, or is of a model that is not supported.
    """
    path = folder / CONFIG
    data = read_bytes(path, CheckpointError, limit=_MAX_BYTES, expected=_EXPECTED, cure=_CURE)
    kind = foreign_json.decode(data, _Kind, path, CheckpointError, expected=_EXPECTED, cure=_CURE)
    # Other tools write a config.json without it; what model that is of, its tensors tell.
    if kind.model_type not in (None, MODEL_TYPE):
        _refuse(foreign.name_of_model_type(kind.model_type) or f"model_type {brief(kind.model_type)}", path)
    config = foreign_json.decode(data, Config, path, CheckpointError, expected=_EXPECTED, cure=_CURE)
    for name, setting, supported in _settings(config, path):
        if setting != supported:
            raise CheckpointError(
                f"{path}: {name} is {brief(setting)}, only {supported!r} is supported: give a model of that kind"
            )
    told = preprocessor_config.describe(folder, say)
    return config, replace(told, labels=_labels(config, path, ask_labels))


def check(config: Config, model: MaskClassifier, source: str) -> None:
    """Raise CheckpointError unless ``config`` describes ``model``, which was built from the tensors beside it."""
    for name, claimed, counted in _facts(config, model):
        if claimed is not None and claimed != counted:
            raise CheckpointError(
                f"{source}: {CONFIG} claims {claimed} {name}, the tensors are of a model with {counted}: {_CURE}"
            )


def _facts(config: Config, model: MaskClassifier) -> Iterator[tuple[str, int | None, int]]:
    """Yield what the tensors tell, too: its name, what ``config`` claims, and what was found."""
    yield "classes", None if config.id2label is None else len(config.id2label), model.num_classes
    yield "queries", config.num_queries, model.num_queries
    # transformers counts the prediction before the first layer as a layer.
    yield "decoder layers", config.decoder_layers, len(model.decoder.layers) + 1
    yield "encoder layers", config.encoder_layers, _count_encoder_layers(model)


def _count_encoder_layers(model: MaskClassifier) -> int:
    return sum(isinstance(module, EncoderLayer) for module in model.modules())


def _settings(config: Config, path: Path) -> Iterator[tuple[str, object, object]]:
    """Yield what tensors do not tell: its name, its value in ``config``, and the only value that is supported.

    Raises:
        CheckpointError: If the backbone is none of those that are supported.
    """
    yield "num_attention_heads", config.num_attention_heads, 8
    yield "activation_function", config.activation_function, "relu"
    yield "common_stride", config.common_stride, 4
    yield "pre_norm", config.pre_norm, False
    backbone = _backbone(config)
    if backbone.model_type not in (None, *_BACKBONES):
        _refuse(f"Mask2Former with a backbone of {brief(backbone.model_type)}", path)
    if backbone.model_type == "timm_backbone" and not _OF_TIMM.fullmatch(backbone.backbone or ""):
        _refuse(f"Mask2Former with timm's {brief(backbone.backbone)}", path)
    yield "output_stride of the backbone", backbone.output_stride or 32, 32
    if backbone.model_type == "swin":
        yield "layer_norm_eps of the backbone", backbone.layer_norm_eps, 1e-5
        yield "hidden_act of the backbone", backbone.hidden_act or "gelu", "gelu"
        yield "use_absolute_embeddings of the backbone", backbone.use_absolute_embeddings, False
    if backbone.model_type == "resnet":
        yield "layer_type of the backbone", backbone.layer_type, "bottleneck"
        yield "hidden_act of the backbone", backbone.hidden_act or "relu", "relu"
        yield "downsample_in_first_stage of the backbone", backbone.downsample_in_first_stage, False
        yield "downsample_in_bottleneck of the backbone", backbone.downsample_in_bottleneck, False


def _backbone(config: Config) -> _Backbone:
    """Return the settings of the backbone; transformers 4 writes those of timm's beside the settings of the model."""
    if config.backbone_config is None and config.use_timm_backbone:
        return msgspec.structs.replace(
            config.backbone_kwargs or _Backbone(), model_type="timm_backbone", backbone=config.backbone
        )
    return config.backbone_config or _Backbone()


def _labels(config: Config, path: Path, say: Say) -> tuple[Label, ...] | None:
    """Return the classes that ``config`` names, None if it names none. Raises CheckpointError."""
    names = config.id2label or {}
    if len(names) > MAX_CLASSES:
        raise CheckpointError(f"{path} names {len(names)} classes, expected at most {MAX_CLASSES}: {_CURE}")
    lacking = next((index for index in range(len(names)) if str(index) not in names), None)
    if lacking is not None:
        raise CheckpointError(
            f"{path} names {len(names)} classes in id2label, but none has the number {lacking}, expected 0 to "
            f"{len(names) - 1}: {_CURE}"
        )
    return labels_of([str(names[str(index)]) for index in range(len(names))], say) if names else None


def _refuse(model: str, path: Path) -> NoReturn:
    raise CheckpointError(
        f"{path} is of {model}, which is not supported: give one of {foreign.SUPPORTED} with a backbone that "
        "pem-export --list shows"
    )
