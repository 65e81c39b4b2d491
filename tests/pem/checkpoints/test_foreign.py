"""Checkpoints of known models that are not supported are named as what they are; ours are not taken for them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from pem_edge import pem
from pem_edge.pem.checkpoints.names import detectron2, foreign, openmmlab
from pem_edge.pem.checkpoints.wrappings import unwrap
from pem_edge.pem.variants import VARIANTS
from pem_edge.runtime.errors import CheckpointError
from reference.synthetic import REFERENCE

FOREIGN = {
    "VidEoMT": ["query.weight", "query_updater.weight", "upscale_block.block.0.conv1.weight"],
    "OneFormer": ["task_mlp.layers.0.weight", "sem_seg_head.predictor.class_transformer.decoder.norm.weight"],
    "OneFormer of transformers": ["model.task_encoder.task_mlp.layers.0.0.weight", "criterion.empty_weight"],
    "Mask DINO": ["sem_seg_head.predictor.label_enc.weight", "sem_seg_head.predictor.query_feat.weight"],
    "kMaX-DeepLab": ["sem_seg_head.predictor._cluster_centers.weight", "backbone.stem.conv1.weight"],
    "MaskFormer": ["sem_seg_head.predictor.transformer.decoder.layers.0.norm1.weight", "criterion.empty_weight"],
    "MaskFormer of transformers": [
        "class_predictor.weight",
        "model.transformer_module.decoder.layers.0.encoder_attn.k_proj.weight",
        "criterion.empty_weight",
    ],
    "MaskFormer of mmdetection": ["panoptic_head.pixel_decoder.encoder_in_proj.weight", "backbone.conv1.weight"],
    "Mask2Former for video": ["backbone.conv1.weight", "track_head.query_feat.weight"],
    "YOSO": ["backbone.stem.conv1.weight", "yoso_neck.deconv.lateral_conv0.weight", "yoso_head.kernels.weight"],
    "YOLO": ["model.0.conv.weight", "model.2.cv1.conv.weight", "model.22.cv2.0.0.conv.weight"],
    "RT-DETR": ["model.denoising_class_embed.weight", "model.decoder.class_embed.0.weight"],
    "DETR": ["transformer.decoder.layers.0.linear1.weight", "bbox_embed.layers.0.weight", "query_embed.weight"],
    "DETR of transformers": ["detr.model.query_position_embeddings.weight", "detr.model.decoder.layernorm.weight"],
    "SAM": ["image_encoder.pos_embed", "mask_decoder.iou_token.weight"],
    "Panoptic-DeepLab": ["backbone.stem.conv1.weight", "ins_embed_head.center_predictor.weight"],
    "Panoptic FPN": ["roi_heads.mask_head.mask_fcn1.weight", "sem_seg_head.p2.0.weight"],
    "Mask R-CNN or a sibling": ["roi_heads.mask_head.mask_fcn1.weight", "backbone.fpn_lateral2.weight"],
    "SegFormer": ["segformer.encoder.layer_norm.0.weight", "decode_head.linear_fuse.weight"],
    "UPerNet": ["backbone.conv1.weight", "decode_head.fpn_bottleneck.conv.weight", "decode_head.conv_seg.weight"],
    "a model of mmsegmentation that classifies pixels": ["backbone.conv1.weight", "decode_head.conv_seg.weight"],
    "Mask2Former with a backbone of Swin V2": ["backbone.layers.0.blocks.0.attn.cpb_mlp.0.weight"],
    "Mask2Former with a backbone of ConvNeXt": ["backbone.stages.0.0.pwconv1.weight"],
    "Mask2Former with a backbone of FocalNet": ["backbone.layers.0.blocks.0.modulation.f.weight"],
    "Mask2Former with a backbone of InternImage": ["backbone.levels.0.blocks.0.dcn.offset.weight"],
    "Mask2Former with a backbone of DiNAT": ["backbone.levels.0.blocks.0.attn.qkv.weight"],
    "Mask2Former with a ViT-Adapter": ["backbone.spm.fc1.weight", "backbone.interactions.0.extractor.attn.weight"],
    "Mask2Former with a ResNet of three convolutions in the stem": ["backbone.stem.conv2.weight"],
}
"""Names of some tensors in checkpoints of each model, as their sources have them."""

SCHEMAS = sorted(path.relative_to(REFERENCE / "schema").as_posix() for path in (REFERENCE / "schema").rglob("*.json"))


def model_of(case: str) -> str:
    return case.partition(" of transformers")[0].partition(" of mmdetection")[0]


@pytest.mark.parametrize("case", FOREIGN)
def test_model_is_named_by_its_tensors(case: str) -> None:
    assert foreign.name_of(FOREIGN[case]) == model_of(case)


@pytest.mark.parametrize("case", FOREIGN)
def test_checkpoint_is_refused_as_what_it_is(case: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({f"module.{name}": torch.zeros(2) for name in FOREIGN[case]}, path)
    with pytest.raises(CheckpointError) as refused:
        pem.load(path, lambda _: None)
    assert f"{path} is a checkpoint of {model_of(case)}, which is not supported: " in str(refused.value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_ours_are_not_taken_for_foreign(variant: str) -> None:
    with torch.device("meta"):
        state = VARIANTS[variant].build(5).state_dict()
    assert foreign.name_of(state) is None
    assert foreign.name_of([f"module.{name}" for name in state]) is None


@pytest.mark.parametrize("model", SCHEMAS)
def test_published_ones_are_not_taken_for_foreign(model: str) -> None:
    published = list(json.loads((REFERENCE / "schema" / model).read_text()))
    renamed = openmmlab.rename if openmmlab.recognizes(published) else detectron2.rename
    assert foreign.name_of(published) is None
    assert foreign.name_of(renamed(dict.fromkeys(published, torch.zeros(4)), model)) is None
    assert foreign.name_of(unwrap(dict.fromkeys(published, torch.zeros(4)), lambda _: None)) is None


def test_near_miss_of_ours_is_not_called_foreign(tmp_path: Path) -> None:
    state = dict(pem.load("demo").state_dict())
    del state["decoder.norm.weight"]
    torch.save(state, tmp_path / "damaged.pth")
    with pytest.raises(CheckpointError, match=r"does not fit pem-nano: 1 missing \(decoder\.norm\.weight\)"):
        pem.load(tmp_path / "damaged.pth")


@pytest.mark.parametrize(
    ("model_type", "model"), [("segformer", "SegFormer"), ("rt_detr", "RT-DETR"), ("mask2former", None), ("eomt", None)]
)
def test_model_is_named_by_its_type_in_transformers(model_type: str, model: str | None) -> None:
    assert foreign.name_of_model_type(model_type) == model


def test_pickled_yolo_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("ultralytics.nn.tasks")

    class SegmentationModel(nn.Sequential):
        __module__, __qualname__ = package.__name__, "SegmentationModel"

    package.SegmentationModel = SegmentationModel  # type: ignore[attr-defined]
    for name in ("ultralytics", "ultralytics.nn", package.__name__):
        monkeypatch.setitem(sys.modules, name, package)
    path = tmp_path / "yolo11n-seg.pt"
    torch.save({"model": SegmentationModel(nn.Conv2d(3, 4, 1))}, path)
    with pytest.raises(CheckpointError, match="is a checkpoint of YOLO, which is not supported"):
        pem.load(path)


def test_other_pickles_have_no_name() -> None:
    assert foreign.name_of_pickle("ultralyticsx.tasks.Model") is None
    assert foreign.name_of_pickle("posix.system") is None
