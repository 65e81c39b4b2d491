"""Write what mmdetection and mmsegmentation compute on weights by formula: schemas and golden outputs.

Runs in a virtual environment of its own, without pem-edge: torch and numpy beside, installed with ``--no-deps``, either
mmdet 3.3.0, mmsegmentation 1.2.2, mmcv-lite 2.1.0 and mmengine 0.10.7, or mmdet 2.28.2 and mmcv 1.7.2. Their compiled
operators are not needed: on a CPU the attention falls back to plain PyTorch, which they hold against their kernels.

Each model is built from their published configuration, but for fewer classes and queries, and runs in double precision
from their own preprocessing on.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

REFERENCE = Path(__file__).parents[2] / "tests" / "data" / "reference"
FOLDER = "openmmlab"
THINGS, STUFF, QUERIES = 4, 3, 20
HEIGHT, WIDTH = 64, 96
SEED = 0


class Source(NamedTuple):
    """A published model: the package and major version that have it, and its configuration there."""

    package: str
    major: int
    config: str


SOURCES = {
    "mmdet_r50": Source("mmdet", 3, "mask2former_r50_8xb2-lsj-50e_coco-panoptic.py"),
    "mmdet_swint": Source("mmdet", 3, "mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py"),
    "mmdet_swinb": Source("mmdet", 3, "mask2former_swin-b-p4-w12-384_8xb2-lsj-50e_coco-panoptic.py"),
    "mmseg_swint": Source("mmseg", 1, "mask2former_swin-t_8xb2-160k_ade20k-512x512.py"),
    "mmdet2_swint": Source("mmdet", 2, "mask2former_swin-t-p4-w7-224_lsj_8x2_50e_coco-panoptic.py"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", choices=SOURCES)
    for name in parser.parse_args().models:
        write(name)
    return 0


def write(name: str) -> None:
    """Write the schema and the golden outputs of the model called ``name`` in `SOURCES`."""
    config = read_config(SOURCES[name])
    model = build(SOURCES[name], config)
    schema = {key: recipe(key, tensor) for key, tensor in model.state_dict().items()}
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(spec, separators=(',', ':'))}" for key, spec in schema.items())
    (REFERENCE / "schema" / FOLDER / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")
    synthetic = load_synthetic()
    state = {key: torch.from_numpy(value) for key, value in synthetic.state_dict(f"{FOLDER}/{name}", SEED).items()}
    for key, tensor in model.state_dict().items():
        if key.endswith("relative_position_index") and not torch.equal(tensor, state[key]):
            raise ValueError(f"{key} is not what the formula says")
    model.load_state_dict(state)
    model.double().eval()
    pixels = preprocess(SOURCES[name], config, model, synthetic.image(HEIGHT, WIDTH, 0))
    with torch.no_grad():
        logits, masks = run(SOURCES[name], model, pixels.double())
    size = f"{HEIGHT}x{WIDTH}"
    arrays = {"seed": np.array(SEED), "image_seed": np.array(0)}
    arrays |= {f"{size}/pred_logits": logits[0].numpy(), f"{size}/pred_masks": masks[0].numpy()}
    np.savez_compressed(REFERENCE / "golden" / FOLDER / f"{name}.npz", allow_pickle=False, **arrays)


def read_config(source: Source) -> Any:  # their type, of either version
    """Return the published configuration with our numbers of classes and queries, and without pretrained weights."""
    replace_what_is_compiled(source)
    package = importlib.import_module(source.package)
    if not package.__version__.startswith(f"{source.major}."):
        raise SystemExit(f"{source.package} {package.__version__} is installed, expected {source.major}.x")
    folder = Path(package.__file__ or "").parent / ".mim" / "configs" / "mask2former"
    holder = importlib.import_module("mmcv" if source.major == 2 else "mmengine")
    config = holder.Config.fromfile(folder / source.config)
    config.model.backbone.init_cfg = None
    head = config.model.get("panoptic_head") or config.model.decode_head
    head.num_queries = QUERIES
    if source.package == "mmseg":
        head.num_classes = THINGS + STUFF
        head.loss_cls.class_weight = [1.0] * (THINGS + STUFF) + [0.1]
        config.model.data_preprocessor.size = None
    else:
        for each in (head, config.model.panoptic_fusion_head):
            each.num_things_classes, each.num_stuff_classes = THINGS, STUFF
        head.loss_cls.class_weight = [1.0] * (THINGS + STUFF) + [0.1]
    return config


def build(source: Source, config: Any) -> nn.Module:  # a configuration of either version
    """Return their model with random weights."""
    model: nn.Module
    if source.major == 2:
        model = importlib.import_module("mmdet.models").build_detector(config.model)
    else:
        importlib.import_module(f"{source.package}.utils").register_all_modules(init_default_scope=True)
        model = importlib.import_module(f"{source.package}.registry").MODELS.build(config.model)
    return model


def preprocess(source: Source, config: Any, model: Any, image: Any) -> Tensor:  # theirs; uint8 RGB (H, W, 3)
    """Return what they feed to the backbone for ``image``, which their loaders read as BGR."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    if source.major == 2:
        norm = config.img_norm_cfg
        mean, std = (np.array(norm[key], np.float32) for key in ("mean", "std"))
        pixels = importlib.import_module("mmcv").imnormalize(bgr, mean, std, norm.to_rgb)
        return torch.from_numpy(pixels).permute(2, 0, 1)[None]
    sample = importlib.import_module("mmseg.structures").SegDataSample() if source.package == "mmseg" else None
    if sample is None:
        sample = importlib.import_module("mmdet.structures").DetDataSample()
    sample.set_metainfo({"img_shape": bgr.shape[:2], "ori_shape": bgr.shape[:2]})
    data = {"inputs": [torch.from_numpy(bgr).permute(2, 0, 1)], "data_samples": [sample]}
    processed: Tensor = model.data_preprocessor(data, False)["inputs"]
    return processed


def run(source: Source, model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:  # their model
    """Return the class logits and mask logits of the last layer."""
    features = model.backbone(pixels)
    head = model.decode_head if source.package == "mmseg" else model.panoptic_head
    logits, masks = head(features, [{}])
    return logits[-1], masks[-1]


def recipe(key: str, tensor: Tensor) -> dict[str, Any]:  # a record for JSON
    """Return how `synthetic` makes the tensor: like the schemas of the other published models."""
    shape = list(tensor.shape)
    if key.endswith("num_batches_tracked"):
        return {"shape": shape, "kind": "count"}
    if key.endswith("relative_position_index"):
        return {"shape": shape, "kind": "window_index"}
    if key.endswith("running_var"):
        return {"shape": shape, "kind": "variance", "scale": 1.0}
    if key.endswith("weight") and tensor.ndim == 1:
        return {"shape": shape, "kind": "unit"}
    return {"shape": shape, "kind": "normal", "scale": _scale(key, tensor)}


def _scale(key: str, tensor: Tensor) -> float:
    special = {
        "level_encoding.weight": 0.5, "level_embed.weight": 1.0, "query_embed.weight": 1.0, "query_feat.weight": 1.0,
        "relative_position_bias_table": 0.5, "cls_embed.weight": 0.25, "mask_embed.4.weight": 0.05,
        "sampling_offsets.bias": 1.5, "running_mean": 0.1,
    }  # fmt: skip
    for ending, scale in special.items():
        if key.endswith(ending):
            return scale
    return 0.05 if tensor.ndim == 1 else round(1.3 / math.sqrt(tensor[0].numel()), 6)


def replace_what_is_compiled(source: Source) -> None:
    """Let mmcv be imported without its compiled operators, and of version 1 without torchvision; neither is called."""

    class Absent(ModuleType):
        __version__ = "0.0.0"

        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)
            return None

    for name in ("mmcv._ext", *(["torchvision"] if source.major == 2 else [])):
        sys.modules.setdefault(name, Absent(name))


def load_synthetic() -> ModuleType:
    """Return the generator of weights and images, which needs numpy alone."""
    spec = importlib.util.spec_from_file_location("synthetic", REFERENCE / "synthetic.py")
    if spec is None or spec.loader is None:
        raise SystemExit("tests/data/reference/synthetic.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
